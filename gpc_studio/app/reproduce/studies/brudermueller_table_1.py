"""Table I of Brudermueller et al.: Push-T, with a shorter horizon, and Push-K."""

from __future__ import annotations

from gpc_studio.app.reproduce.rows import Published, Row
from gpc_studio.app.reproduce.table import Section, Table

_PAPER_CEM = {"execute": "mean", "centre": "elites"}


def _rows(task: str, prefix: str, paper: dict[str, Published], **options: str) -> tuple[Row, ...]:
    """The rows of a section; those with two flow steps only where the paper has them."""
    everywhere = [
        ("cem-mean", "CEM, elite mean", "cem", _PAPER_CEM),
        ("cem", "CEM, tuned here", "cem", {}),
        ("mppi", "MPPI", "mppi", {}),
        ("dial_mpc", "DIAL-MPC", "dial_mpc", {}),
        ("gpc_shoot-2", "GPC-Shoot (2)", "gpc_shoot", {"flow_steps": "2"}),
        ("gpc_shoot-10", "GPC-Shoot (10)", "gpc_shoot", {"flow_steps": "10"}),
        ("gpc_cem-2", "GPC-CEM (2)", "gpc_cem", {"flow_steps": "2"}),
        ("gpc_cem-10", "GPC-CEM (10)", "gpc_cem", {"flow_steps": "10"}),
    ]
    return tuple(
        Row(f"{prefix}-{name}", title, task, controller, own | options, paper[name])
        for name, title, controller, own in everywhere
        if name in paper
    )


_BASE = {
    "cem-mean": Published(0.85, (0.83, 0.88), 1037.57, 526.40),
    "cem": Published(),
    "mppi": Published(0.62, (0.59, 0.65), 1634.15, 492.42),
    "dial_mpc": Published(0.86, (0.83, 0.88), 1197.07, 461.16),
    "gpc_shoot-2": Published(0.718, (0.702, 0.734), 1277.51, 572.80),
    "gpc_shoot-10": Published(0.992, (0.988, 0.995), 608.58, 291.48),
    "gpc_cem-2": Published(0.980, (0.980, 0.985), 932.40, 449.95, 0.33, 0.11),
    "gpc_cem-10": Published(0.998, (0.996, 0.999), 591.11, 267.20, 0.33, 0.10),
}
_SHORT = {
    "cem-mean": Published(0.78, (0.76, 0.81), 1093.50, 523.09),
    "cem": Published(),
    "mppi": Published(0.68, (0.65, 0.71), 1365.65, 463.48),
    "dial_mpc": Published(0.84, (0.81, 0.86), 945.76, 403.05),
    "gpc_shoot-10": Published(0.84, (0.83, 0.85), 978.96, 543.72),
    "gpc_cem-10": Published(0.96, (0.95, 0.97), 890.42, 466.94, 0.42, 0.08),
}
_PUSH_K = {
    "cem-mean": Published(0.55, (0.52, 0.58), 1143.21, 565.90),
    "cem": Published(),
    "mppi": Published(0.34, (0.31, 0.36), 1707.92, 501.53),
    "dial_mpc": Published(0.56, (0.52, 0.59), 1333.13, 484.97),
    "gpc_shoot-10": Published(0.89, (0.88, 0.90), 1015.15, 527.04),
    "gpc_cem-10": Published(0.96, (0.95, 0.96), 887.77, 482.02, 0.41, 0.10),
}

TABLE = Table(
    name="brudermueller-table-1",
    title="Push-T, a shorter horizon, and Push-K: 10 Hz, time step 0.01 s, 32 rollouts",
    source=(
        'Brudermueller et al., "Generative Models From and For Sampling-Based MPC", 2025, '
        "arXiv 2510.14643, Table I"
    ),
    sections=(
        Section("Push-T, horizon 3 s", _rows("push_t", "push_t", _BASE)),
        Section("Push-T, horizon 1 s", _rows("push_t", "push_t-1s", _SHORT, horizon="1.0")),
        Section("Push-K, horizon 3 s, the policy of Push-T", _rows("push_k", "push_k", _PUSH_K)),
    ),
    episodes=500,
    notes=(
        "The paper gives neither its cost weights nor its scale, so steps are not comparable one to"
        " one; ratios between rows are.",
        "The paper has 1000 trials a row, of GPC over three model seeds; here it is one policy.",
        "CEM ratio: share of the plans whose best sample was not the policy's. The Gaussian samples"
        " that GPC-CEM puts in the place of the policy's when it stalls count as CEM's.",
    ),
)
