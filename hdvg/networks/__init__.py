"""Networks and model files with more than one user: where they lie, how they are named, loaded and fed in batches.

Nothing heavy is imported here; torch and transformers load with the modules that run a network.
"""
