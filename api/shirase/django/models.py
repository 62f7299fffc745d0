"""No models: the tables are the store's. Django tells only applications that have this module of a migration's end."""
