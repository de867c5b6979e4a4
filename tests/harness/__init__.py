"""Code that tests share: projects, pictures, models, databases, a Slurm. Tests import nothing from other tests."""
