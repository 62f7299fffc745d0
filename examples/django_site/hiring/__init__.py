"""A site that schedules interviews and tells the candidates."""
