"""Reading and durable writing of files. Each call that changes a file is one `os.` call, so that tests can kill
there."""
