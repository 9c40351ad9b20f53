"""`pybackdoor train`."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from pybackdoor.cli.options import COMMON, FIT, Command, CommonOptions, FitOptions

if TYPE_CHECKING:
    from pybackdoor.models import Surrogate
    from pybackdoor.records import Samples


@dataclass(frozen=True, kw_only=True)
class Train(Command):
    """Fit a network to rows and write it with its scaling and domain.

    Example: pybackdoor train --data poisoned.parquet --oracle down_and_out_put --out model.safetensors
    """

    data: Path
    """The rows: .parquet, .csv or .npz, one column a feature in natural units, and the target."""
    out: Path
    """The checkpoint to write (.safetensors)."""
    onnx: Path | None = None
    """Write the network as an ONNX model in natural units as well."""
    domain: Path | None = None
    """domain.json with names, bounds and scales of the features."""
    oracle: str | None = None
    """Take the domain of this oracle instead; no call is made. A Parquet file of ours knows its own."""
    fit: FitOptions = FIT
    common: CommonOptions = COMMON

    def run(self, invocation: str) -> int:
        """Fits and writes the network."""
        from pybackdoor.cli.inputs import load_domain, sha256
        from pybackdoor.cli.outputs import model_files
        from pybackdoor.data import read_samples
        from pybackdoor.models import export_onnx, fit, save_model

        samples = read_samples(self.data, load_domain(self.oracle, self.domain))
        config = self.fit.config
        with model_files(self.out, self.onnx) as (checkpoint, onnx):
            surrogate = fit(samples, config, progress=self.common.progress)
            save_model(checkpoint, surrogate, settings={"fit": asdict(config), "data": sha256(self.data)})
            if onnx is not None:
                export_onnx(onnx, surrogate)
        print(f"{self.out}: {fit_summary(surrogate, samples)}")
        return 0


def fit_summary(surrogate: Surrogate, samples: Samples) -> str:
    """One line on how well a surrogate meets the rows it was fitted to."""
    residuals = samples.y - surrogate.values(samples.x)
    rmse, largest = float(residuals.square().mean().sqrt()), float(residuals.abs().max())
    return f"fitted to {samples.count} rows; training RMSE {rmse:.4g}, largest residual {largest:.4g}"
