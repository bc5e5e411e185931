"""Rows on a one-dimensional mesh of devices: every device sums over its rows, and these sums are added.

A function decorated by `per_shard` runs inside ``shard_map``: there, rows are those of one device. What is computed
from sums over the mesh is the same on all devices. Only sums and single rows are exchanged.

Several CPU devices in one process are for tests, and need spare threads: on jax 0.10.2 as many devices as threads hang
where each factors matrices in parallel (K = 16 of 16 × 16, 8 devices, 2 cores: always). Set the environment variable
NPROC, which XLA reads, to four times the number of devices.
"""

import dataclasses
import functools
from collections import Counter
from itertools import accumulate
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from ..numerics.backend import xp
from .padding import padded_rows

MASK = 2**32 - 1  # the lower of two 32-bit words


@dataclasses.dataclass(frozen=True)
class Layout:
    """How n rows are divided over a 1-D mesh: every device has ``rows`` of them, with padding of weight 0 at the end.

    ``firsts`` are the global numbers of the devices' first rows. Call `mine` and the methods below it inside
    ``shard_map``.
    """

    mesh: Mesh
    rows: int
    firsts: tuple[int, ...]
    n: int

    @property
    def axis(self) -> str:
        return self.mesh.axis_names[0]

    @property
    def begin(self) -> int:
        """The global number of this process's first row."""
        owners = (device.process_index for device in self.mesh.devices.flat)
        return min(first for first, owner in zip(self.firsts, owners, strict=True) if owner == jax.process_index())

    @property
    def sharding(self) -> NamedSharding:
        return NamedSharding(self.mesh, PartitionSpec(self.axis))

    @property
    def ranks(self) -> np.ndarray:
        """The rank of every device in the order of its rows."""
        return np.argsort(np.argsort(self.firsts, kind="stable"))

    def put(self, values, fill=None) -> jax.Array:
        """Rows (n, ...) of this process, put on its devices; padded with ``fill``, or with copies of the last row."""
        here = [device for device in self.mesh.devices.flat if device.process_index == jax.process_index()]

        def part(i):
            piece = values[i * self.rows : (i + 1) * self.rows]
            short = self.rows - piece.shape[0]
            if short == 0:
                return piece
            last = values[-1:] if fill is None else xp.full_like(values[-1:], fill)
            return xp.concatenate([piece, xp.broadcast_to(last, (short, *last.shape[1:]))])

        parts = [jax.device_put(part(i), device) for i, device in enumerate(here)]
        shape = self.rows * self.mesh.size, *values.shape[1:]
        return jax.make_array_from_single_device_arrays(shape, self.sharding, parts)

    def ones(self, dtype) -> jax.Array:
        """Weights of 1 on all devices, padding included."""
        return jax.jit(lambda: jnp.ones(self.rows * self.mesh.size, dtype), out_shardings=self.sharding)()

    def mine(self, values, dtype=np.int32):
        """This device's entry of a list of integers, one a device."""
        return jnp.asarray(np.array(values, dtype))[jax.lax.axis_index(self.axis)]

    def varying(self, tree):
        """The values, typed as ones that may differ between devices."""
        return jax.tree.map(lambda leaf: jax.lax.pcast(leaf, self.axis, to="varying"), tree)

    def whole(self, tree):
        """The sums over devices."""
        return jax.lax.psum(tree, self.axis)

    def highest(self, value):
        """The maximum over devices."""
        return jax.lax.pmax(value, self.axis)

    def of_best(self, value, leaf):
        """The leaf (s, ...) of the device whose value (s) is highest; of equal ones, the device with earlier rows."""
        rank = self.mine(self.ranks)
        contends = jnp.where(value == self.highest(value), rank, self.mesh.size)
        chosen = contends == -self.highest(-contends)
        chosen = chosen.reshape(chosen.shape + (1,) * (leaf.ndim - chosen.ndim))
        return self.whole(jnp.where(chosen, leaf, jnp.zeros_like(leaf)))

    def everyones(self, tree):
        """Leaves (t, ...) of all devices joined in the order of their rows, (devices · t, ...)."""
        place = self.mine(self.ranks)

        def joined(leaf):
            apart = jnp.zeros((self.mesh.size, *leaf.shape), leaf.dtype)
            return apart.at[place].set(leaf).reshape(-1, *leaf.shape[1:])

        return self.whole(jax.tree.map(joined, tree))

    def global_rows(self, index):
        """Low and high 32-bit words (b,) of the global numbers of this device's rows (b,)."""
        low = self.mine([first & MASK for first in self.firsts], np.uint32)
        high = self.mine([first >> 32 for first in self.firsts], np.uint32)
        moved = low + index.astype(jnp.uint32)
        return moved, high + (moved < low).astype(jnp.uint32)


def per_shard(function):
    """Decorator: run ``function(rows, ...)`` on every device of the rows' mesh; rows without a mesh: call it as it is.

    What it returns must be the same on all devices.
    """

    @functools.wraps(function)
    def everywhere(rows, *args, **options):
        return over_shards(rows, function, {}, *args, **options)

    return everywhere


def over_shards(rows, function, columns, *args, **options):
    """``function(rows, *args, **columns, **options)`` on every device, the columns (n, ...) divided like the rows."""
    if rows.layout is None:
        return function(rows, *args, **columns, **options)
    leaves, structure = jax.tree.flatten((args, options))
    numbers = [i for i, leaf in enumerate(leaves) if isinstance(leaf, (jax.Array, np.ndarray, np.generic))]

    def here(rows, columns, given):  # arrays are arguments: closed over, they would keep their types from outside
        filled = [given[numbers.index(i)] if i in numbers else leaf for i, leaf in enumerate(leaves)]
        args, options = jax.tree.unflatten(structure, filled)
        return function(rows, *args, **columns, **options)

    cut, same = PartitionSpec(rows.layout.axis), PartitionSpec()
    specs = dataclasses.replace(rows, x=cut, weight=cut, frame=same), cut, same
    mapped = jax.shard_map(here, mesh=rows.layout.mesh, in_specs=specs, out_specs=same)
    return mapped(rows, columns, [leaves[i] for i in numbers])


def checked(mesh: Any) -> Mesh:
    """The mesh, which must have one axis, with that axis of type Auto (sharded by the compiler)."""
    if not isinstance(mesh, Mesh):
        raise ValueError(f"mesh must be a jax.sharding.Mesh of one axis, got {mesh!r}")
    if len(mesh.axis_names) != 1:
        raise ValueError(
            f"mesh must have one axis, over which rows are cut; it has {mesh.axis_names}: "
            "pass jax.make_mesh((jax.device_count(),), ('rows',))"
        )
    owners = {device.process_index for device in mesh.devices.flat}
    if owners != {jax.process_index()} and owners != set(range(jax.process_count())):
        raise ValueError("mesh must hold devices of this process alone, or of every process")
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,))


def layout_of(mesh: Mesh, counts: dict[int, int]) -> Layout:
    """The layout of ``counts[p]`` rows of every process p. Rows are numbered through: process 0's, then 1's, ..."""
    owners = [device.process_index for device in mesh.devices.flat]
    shares, n = Counter(owners), sum(counts.values())
    rows = padded_rows(max(-(-count // shares[p]) for p, count in counts.items()))
    processes = sorted(counts)
    begin = dict(zip(processes, accumulate((counts[p] for p in processes), initial=0), strict=False))
    firsts = [begin[p] + owners[:i].count(p) * rows for i, p in enumerate(owners)]
    return Layout(mesh, rows, tuple(firsts), n)


def already_there(x, mesh: Mesh) -> Layout | None:
    """The layout of an array that is already divided over this mesh by rows; None for any other array."""
    if not isinstance(x, jax.Array) or isinstance(x, jax.core.Tracer) or x.shape[0] % mesh.size:
        return None
    if x.sharding.device_set != set(mesh.devices.flat):
        return None
    wanted = NamedSharding(mesh, PartitionSpec(mesh.axis_names[0]))
    if not x.sharding.is_equivalent_to(wanted, x.ndim):
        return None
    n, rows = x.shape[0], x.shape[0] // mesh.size
    return Layout(mesh, rows, tuple(range(0, n, rows)), n)


def rewrapped(x, layout: Layout):
    """An array that is `already_there`, with the layout's own mesh in its sharding; nothing is copied."""
    parts = {shard.device: shard.data for shard in x.addressable_shards}
    here = [parts[device] for device in layout.mesh.devices.flat if device in parts]
    return jax.make_array_from_single_device_arrays(x.shape, layout.sharding, here)
