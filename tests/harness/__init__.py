"""What tests share: projects, pictures, models, databases, a Slurm; tests import nothing from each other."""
