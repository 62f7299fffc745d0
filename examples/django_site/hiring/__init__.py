"""A site that schedules interviews and notifies the candidates."""
