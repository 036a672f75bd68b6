import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gpc_studio.models.architecture import Architecture
from gpc_studio.models.flow_matching import Batch
from gpc_studio.models.policy import Normaliser, new_policy, sample
from gpc_studio.models.training import saved
from gpc_studio.models.training.dataset import Sequences
from gpc_studio.models.training.fit import Fit
from gpc_studio.models.training.offline import OfflineTraining
from gpc_studio.models.training.options import OfflineOptions
from gpc_studio.options import updated
from gpc_studio.scenes import load_task

OPTIONS = updated(
    OfflineOptions(),
    {"width": 32, "layers": 2, "minibatch": 64, "steps": 40, "history": False, "ema": 0.9,
     "learning_rate": 0.005, "warmup": 5},
)  # fmt: skip


def a_fit(total=40, options=OPTIONS, seed=0):
    architecture = Architecture.of(options, knots=2, controls=1, observation=1)
    policy = new_policy(architecture, Normaliser.identity(1), jax.random.PRNGKey(seed))
    return Fit(policy, options, total, jax.random.PRNGKey(seed + 1))


def examples(count=512, seed=0):
    """Plans that follow from what is seen: both knots half of it."""
    seen = np.random.default_rng(seed).uniform(-1, 1, (count, 1)).astype(np.float32)
    knots = jnp.asarray(np.stack([0.5 * seen, 0.5 * seen], axis=1))
    return Batch(knots, jnp.asarray(seen), jnp.asarray(seen), jnp.zeros_like(knots))


def same(a, b):
    for x, y in zip(jax.tree.leaves(a), jax.tree.leaves(b), strict=True):
        np.testing.assert_array_equal(np.asarray(x), np.asarray(y))


def test_it_learns():
    fit, data, normaliser = a_fit(600), examples(), Normaliser.identity(1)
    state, first = fit.run(fit.start(), normaliser, data, 10)
    before = fit.measure(state, normaliser, data)
    state, last = fit.run(state, normaliser, data, 590)
    assert last < 0.25 * first
    assert fit.measure(state, normaliser, data) < before
    policy = fit.policy(state, normaliser)
    noise = jax.random.normal(jax.random.PRNGKey(5), (64, 2, 1))
    for seen in (-0.8, 0.0, 0.8):
        drawn = sample(policy, noise, jnp.array([seen]), jnp.array([seen]), 10)
        assert float(jnp.mean(drawn)) == pytest.approx(0.5 * seen, abs=0.1)


def test_pieces_give_the_bits_of_the_whole(tmp_path):
    fit, data, normaliser = a_fit(), examples(), Normaliser.identity(1)
    whole, _ = fit.run(fit.start(), normaliser, data, 40)
    state = fit.start()
    for steps in (1, 12, 7):
        state, _ = fit.run(state, normaliser, data, steps)
    # Through a file, and into a program that was started again.
    saved.save(tmp_path / "state", state, {"steps": 20})
    again = a_fit()
    state = jax.tree.map(jnp.array, saved.load(tmp_path / "state", again.start()))
    assert saved.read_facts(tmp_path / "state") == {"steps": 20}
    state, _ = again.run(state, normaliser, data, 20)
    same(whole, state)


def test_seeds_differ():
    data, normaliser = examples(), Normaliser.identity(1)
    one, two = a_fit(seed=0), a_fit(seed=1)
    first, _ = one.run(one.start(), normaliser, data, 3)
    second, _ = two.run(two.start(), normaliser, data, 3)
    kernels = zip(jax.tree.leaves(first.weights), jax.tree.leaves(second.weights), strict=True)
    assert any(np.any(np.asarray(a) != np.asarray(b)) for a, b in kernels)


def test_the_cosine_weight_reaches_the_loss():
    # The plan before is the plan itself turned round: with weights, most noise counts less.
    data = examples()
    data = data._replace(previous=-data.knots)
    normaliser, values = Normaliser.identity(1), []
    for gamma in (0.0, 2.0):
        fit = a_fit(options=updated(OPTIONS, {"cosine_weight": gamma}))
        values.append(fit.measure(fit.start(), normaliser, data))
    assert values[1] < 0.8 * values[0]


@pytest.mark.parametrize("change", ["cut", "other shape", "missing"])
def test_a_state_that_does_not_fit_is_told(tmp_path, change):
    fit = a_fit()
    path = tmp_path / "state"
    saved.save(path, fit.start(), {})
    if change == "cut":
        path.write_bytes(path.read_bytes()[:-50])
    elif change == "other shape":
        fit = a_fit(options=updated(OPTIONS, {"width": 36}))
    else:
        saved.save(path, {"weights": fit.start().weights}, {})
    with pytest.raises(saved.SavedError, match="--fresh"):
        saved.load(path, fit.start())


def sequences(episodes=20, plans=5):
    count = episodes * plans
    rng = np.random.default_rng(0)
    return Sequences(
        knots=rng.uniform(-1, 1, (count, 6, 1)).astype(np.float32),
        previous=np.zeros((count, 6, 1), np.float32),
        observation=rng.normal(size=(count, 3)).astype(np.float32),
        last_observation=rng.normal(size=(count, 3)).astype(np.float32),
        episode=np.repeat(np.arange(episodes), plans),
    )


def test_offline_keeps_whole_episodes_apart_and_mirrors_the_others():
    task, data = load_task("pendulum"), sequences()
    options = updated(OPTIONS, {"validation": 0.25})
    training = OfflineTraining(task, options, data, seed=0)
    assert training.examples == 2 * 15 * 5
    plain = OfflineTraining(task, updated(options, {"mirror": False}), data, seed=0)
    assert plain.examples == 15 * 5
    _, measured = training.advance(training.start())
    assert measured.step == training.chunk
    assert np.isfinite([measured.loss, measured.validation_loss]).all()
    all_of_it = OfflineTraining(task, updated(options, {"validation": 0.0}), data, seed=0)
    _, measured = all_of_it.advance(all_of_it.start())
    assert np.isnan(measured.validation_loss)


def test_a_loss_that_is_not_finite_is_told():
    data = sequences()
    data.knots[:] = np.nan
    training = OfflineTraining(load_task("pendulum"), OPTIONS, data, seed=0)
    with pytest.raises(FloatingPointError, match="--learning-rate"):
        training.advance(training.start())
