"""The control-plane server: what gateway replicas pull their routing tables from and report to.

The operator publishes tables and reads what each replica has applied. A table is opaque here: its bytes go out as they
came in. One process on SQLite, any number of processes on PostgreSQL; nothing is remembered outside the database.

From below: problems, access; publication, rotation (pure); database; tables, replicas, tokens; waiting, reading,
watching; guards and routes; application; process.
"""
