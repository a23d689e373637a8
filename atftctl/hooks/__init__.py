"""For other people's trainers: a reporter for any training loop, and callbacks for Lightning and transformers.

Imports nothing of ours. Each file can be copied into a project, and runs on Python 3.9.
"""
