"""No models: the tables are the store's. Django sends ``post_migrate`` only for applications with this module."""
