# The workflow on NVIDIA GPUs, with exactly the versions of requirements-gpu.lock, tools of development among them. CUDA
# comes with PyTorch; the driver is the machine's, and reaches the container through the NVIDIA Container Toolkit. This
# file has not been built here; a test compares it with the lock file.
#
#   docker build -f containers/gpu.Dockerfile -t vlm-dejavu:gpu .
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --shm-size 2g -v "$PWD:/work" vlm-dejavu:gpu init audit
#   docker run --rm --gpus all --user "$(id -u):$(id -g)" --shm-size 2g -v "$PWD/audit:/work" vlm-dejavu:gpu run
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PYTHONUNBUFFERED=1
COPY requirements-gpu.lock /src/requirements-gpu.lock
RUN pip install --no-deps --require-hashes -r /src/requirements-gpu.lock

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
