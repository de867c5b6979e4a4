# The workflow on CPUs, with exactly the versions of requirements.lock, tools of development among them. This file has
# not been built here; a test compares it with the lock file.
#
#   docker build -f containers/cpu.Dockerfile -t vlm-dejavu:cpu .
#   docker run --rm --user "$(id -u):$(id -g)" --shm-size 2g -v "$PWD:/work" vlm-dejavu:cpu init audit
#   docker run --rm --user "$(id -u):$(id -g)" --shm-size 2g -v "$PWD/audit:/work" vlm-dejavu:cpu run
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
COPY requirements.lock /src/requirements.lock
RUN pip install --no-deps --require-hashes -r /src/requirements.lock

COPY pyproject.toml README.md LICENSE Snakefile /src/
COPY src /src/src
COPY workflow /src/workflow
COPY config /src/config
COPY profiles /src/profiles
COPY envs /src/envs
COPY .test/config /src/.test/config
# hatchling, which builds the package, comes from the lock file, too
RUN pip install --no-deps --no-build-isolation /src

# any user may run it: Snakemake keeps a cache in the home directory
ENV HOME=/tmp
WORKDIR /work
ENTRYPOINT ["dejavu"]
CMD ["--help"]
