import json

from dejavu.files import write_json
from dejavu.progress import logged

with logged(snakemake.log[0]):
    p = snakemake.params
    recipe = json.loads(p.recipe)
    if snakemake.input.architecture:
        recipe["architecture"] = str(snakemake.input.architecture)
    write_json(snakemake.output[0], {"recipe": recipe, "code": p.training, "device": p.device})
