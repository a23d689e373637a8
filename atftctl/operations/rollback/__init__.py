"""The routes of `rollback`."""
