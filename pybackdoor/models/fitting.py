"""Fitting networks to samples: scaling, validation split, early stopping and fine-tuning around `ops.train`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch

from pybackdoor.arrays import as_values
from pybackdoor.errors import InputError, NotConvergedError
from pybackdoor.models.early_stopping import FitTask, trained
from pybackdoor.models.fit_config import FitConfig
from pybackdoor.models.network_surrogate import NetworkSurrogate
from pybackdoor.models.scaling import blank_network, rescaled, target_scaling, with_weights
from pybackdoor.ops.philox import permutation
from pybackdoor.ops.train import initial_state
from pybackdoor.records import Network, Samples, TrainingState
from pybackdoor.stages import staged


def fit(
    samples: Samples,
    config: FitConfig | None = None,
    *,
    start: NetworkSurrogate | None = None,
    sample_weights: torch.Tensor | None = None,
    progress: bool = False,
) -> NetworkSurrogate:
    """A network fitted to `samples` by minibatch Adam, with the scaling of inputs and target inside. config: default `FitConfig()`.

    start: a network to fine-tune instead of a random one; its widths and activation must be those of `config`.
    sample_weights [N], >= 0: weight of each row in the loss; a row of weight 0 has no influence.
    progress: show a bar when the fit takes longer than two seconds.
    Raises InputError for fewer than two rows of positive weight, or a start of another shape; NotConvergedError when the training diverges.
    Interrupted by Ctrl-C, it raises KeyboardInterrupt and leaves nothing behind.

    >>> from pybackdoor.domain import Domain
    >>> x = torch.rand(200, 2, dtype=torch.float64)
    >>> surrogate = fit(Samples(Domain(("a", "b"), (0, 0), (1, 1)), x, x.prod(1)), FitConfig(widths=(16,), least_steps=10, epochs=1))
    >>> surrogate.values([[0.5, 0.5]]).shape
    torch.Size([1])
    """
    weights = None if sample_weights is None else [sample_weights]
    return fit_many([samples], config, starts=None if start is None else [start], sample_weights=weights, progress=progress)[0]


@staged("fit")
def fit_many(
    samples: Sequence[Samples],
    config: FitConfig | None = None,
    *,
    starts: Sequence[NetworkSurrogate] | None = None,
    sample_weights: Sequence[torch.Tensor] | None = None,
    streams: Sequence[int] | None = None,
    progress: bool = False,
) -> list[NetworkSurrogate]:
    """One network for each of M sample sets, trained side by side in one call of `ops.train`.

    Network m is what `fit` gives for samples[m] when all sets have as many rows: the number of steps is that of the largest set's epochs.
    streams: M random streams, one a network (default: 0 for all, so that equal samples give equal networks; different numbers make an ensemble).
    The other arguments are those of `fit`, one a set. Raises InputError when the counts differ or the sets have different dimensions.
    """
    from tqdm import tqdm

    config = config or FitConfig()
    if not samples:
        return []
    tasks = _tasks(samples, config, starts, sample_weights, streams)
    plan = config.plan(max(task.train_rows.shape[0] for task in tasks))
    state = initial_state(
        (samples[0].domain.dimension, *config.widths, 1),
        config.activation,
        networks=len(tasks),
        seed=config.seed,
        streams=[task.stream for task in tasks],
        device=samples[0].x.device,
    )
    if starts is not None:
        state = _started(state, [task.network for task in tasks])
    with tqdm(total=plan.steps, desc="fitting", unit="step", delay=2, leave=False, disable=not progress) as bar:
        state = trained(state, plan, tasks, config, lambda step: bar.update(step - bar.n))
    if not all(bool(torch.isfinite(tensor).all()) for tensor in (*state.weights, *state.biases)):
        raise NotConvergedError(f"fit: the training diverged, its weights are not finite; lower learning_rate (now {config.learning_rate:g})")
    return [NetworkSurrogate(with_weights(task.network, state, position), task.samples.domain) for position, task in enumerate(tasks)]


def _tasks(
    samples: Sequence[Samples],
    config: FitConfig,
    starts: Sequence[NetworkSurrogate] | None,
    sample_weights: Sequence[torch.Tensor] | None,
    streams: Sequence[int] | None,
) -> list[FitTask]:
    for name, given in (("starts", starts), ("sample_weights", sample_weights), ("streams", streams)):
        if given is not None and len(given) != len(samples):
            raise InputError(f"fit: {len(given)} {name} for {len(samples)} sample sets; one a set is needed")
    if len({each.domain.dimension for each in samples}) > 1:
        raise InputError("fit: the sample sets have different numbers of features; fit them in separate calls")
    tasks = []
    for position, each in enumerate(samples):
        weights = None if sample_weights is None else _checked_weights(sample_weights[position], each)
        usable = torch.arange(each.count) if weights is None else (weights > 0).nonzero()[:, 0].cpu()
        if usable.shape[0] < 2:
            raise InputError(f"fit: {usable.shape[0]} rows of positive weight; at least two are needed")
        stream = 0 if streams is None else streams[position]
        held = int(usable.shape[0] * config.validation_fraction)
        order = usable[permutation(usable.shape[0], seed=config.seed, purpose="validation split", stream=stream)]
        network = _start(each, config, weights, None if starts is None else starts[position])
        tasks.append(FitTask(each, network, weights, order[held:].sort().values, order[:held].sort().values, stream))
    return tasks


def _checked_weights(weights: torch.Tensor, samples: Samples) -> torch.Tensor:
    checked = as_values(weights, samples.count, "sample_weights").to(samples.y.device)
    if bool((checked < 0).any()):
        raise InputError(f"sample_weights: row {int((checked < 0).nonzero()[0])} is negative; weights >= 0 are needed")
    return checked


def _start(samples: Samples, config: FitConfig, weights: torch.Tensor | None, start: NetworkSurrogate | None) -> Network:
    shift, scale = target_scaling(samples.y, weights)
    if start is None:
        return blank_network((samples.domain.dimension, *config.widths, 1), config.activation, shift, scale, samples.y.device)
    if start.domain != samples.domain:
        raise InputError(f"fit: the start {start.name} has another domain than the samples; both must be the same")
    network = start.network
    if network.widths[:-1] != config.widths or network.activation != config.activation:
        raise InputError(
            f"fit: the start {start.name} has widths {network.widths[:-1]} and activation {network.activation}, the configuration "
            f"{config.widths} and {config.activation}; give the same"
        )
    return rescaled(network, shift, scale)


def _started(state: TrainingState, networks: list[Network]) -> TrainingState:
    """`state` with the networks' weights in place of random ones."""
    weights = tuple(torch.stack([network.weights[layer] for network in networks]).to(old) for layer, old in enumerate(state.weights))
    biases = tuple(torch.stack([network.biases[layer] for network in networks]).to(old) for layer, old in enumerate(state.biases))
    return replace(state, weights=weights, biases=biases)
