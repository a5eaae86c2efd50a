"""How PostgreSQL runs. On its command line, which outranks postgresql.conf and ALTER SYSTEM."""

from adapters.embedded.sockets import PORT

SETTINGS = {
    # An answered submit survives a power cut.
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    # Reached by nobody but the owner of the directory.
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "password_encryption": "scram-sha-256",
    "max_connections": "100",
    # Small, as it shares the machine with the scripts: no process that an ETL queue has no use for.
    "shared_buffers": "48MB",
    "max_wal_size": "512MB",
    "huge_pages": "off",
    "io_method": "sync",
    "max_logical_replication_workers": "0",
    "max_parallel_workers_per_gather": "0",
    # The queue's table is short and changes all the time: its dead rows must go soon.
    "autovacuum_naptime": "10s",
    "jit": "off",
    "logging_collector": "off",
    "log_destination": "stderr",
    "log_checkpoints": "off",
    "log_line_prefix": "%m [%p] %q%u@%d ",
    "log_timezone": "UTC",
    "timezone": "UTC",
}


def command_line(location: str, socket_directory: str, title: str) -> list[str]:
    own = {"port": str(PORT), "unix_socket_directories": quoted(socket_directory), "cluster_name": title}
    pairs = {**SETTINGS, **own}.items()
    return ["-D", location, *(part for name, value in pairs for part in ("-c", f"{name}={value}"))]


def quoted(path: str) -> str:
    """As an element of PostgreSQL's list of directories: a blank in it is no end."""
    return '"' + path.replace('"', '""') + '"'
