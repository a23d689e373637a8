"""The ATFT-GAT-FAN trainer, run only as `python -m atftctl.trainer`."""
