"""Git: facts of a repository, and changes of it."""
