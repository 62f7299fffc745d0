"""The processes: command line, supervisor, proxy node, standby, gunicorn and doctor."""
