"""In what order and where: the graph of stages, its runners, and the recipes of whole runs. Only here is Ray."""
