"""Clusters whose workers come and go: how they are told to scale, and what is planned for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dask_quant.connections import first_line
from dask_quant.errors import ClusterError

if TYPE_CHECKING:
    from distributed import Client


def scale_cluster(client: Client, fewest: int, most: int) -> None:
    """Have the cluster of a client scale between so many workers, as work demands. **Eager**.

    This is ``client.cluster.adapt(minimum=fewest, maximum=most)``, and it is not taken back: what
    was before is known to the cluster alone, and to leave it scaling is what costs least, for
    workers that have nothing to do then go, down to ``fewest``. Another ``adapt``, or ``scale(n)``,
    takes its place.

    Parameters
    ----------
    client : Client
        That a cluster object opened: of dask-jobqueue, the Dask operator, Dask Gateway, ...
    fewest, most : int
        Workers.

    Raises
    ------
    ClusterError
        When the client has no such object, or that cannot scale.
    """
    cluster, wanted = client.cluster, f"adapt=({fewest}, {most})"
    if cluster is None:
        message = (
            f"Got {wanted} with a client of {client.scheduler.address}, which has no cluster to "
            "scale; give the client of a cluster object (Client(cluster)), or leave adapt out."
        )
        raise ClusterError(message)
    # Some have the method and no way to start a worker, as SSHCluster, and say so here alone.
    if not hasattr(cluster, "adapt") or not getattr(cluster, "_supports_scaling", True):
        message = (
            f"Got {wanted} with a client of {_name(cluster)}, which cannot scale; leave adapt out."
        )
        raise ClusterError(message)
    try:
        cluster.adapt(minimum=fewest, maximum=most)
    except Exception as error:  # whatever a cluster of a third party raises
        message = f"{_name(cluster)} refused {wanted}: {first_line(error)}; leave adapt out."
        raise ClusterError(message) from error


def count_side_by_side(client: Client, most_workers: int = 0) -> tuple[int, int]:
    """Return the worker processes that a cluster has, or will have, and their threads. **Eager**.

    Parameters
    ----------
    client : Client
        Of the cluster.
    most_workers : int, default 0
        Workers that it may scale up to; 0: those that are there. What are to come have as many
        threads as the largest that is there.

    Returns
    -------
    n_processes, n_threads : int
        At least 1 each: a cluster without workers is none of this process.
    """
    there: dict[str, int] = client.nthreads()
    n_processes = max(1, len(there), most_workers)
    n_threads = sum(there.values()) + (n_processes - len(there)) * max(there.values(), default=1)
    return n_processes, max(1, n_threads)


def _name(cluster: object) -> str:
    """Return what a cluster object is called."""
    return f"a {type(cluster).__name__}"
