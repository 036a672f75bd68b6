"""Perturbed models."""

import mujoco
import numpy as np
import pytest

from gpc_studio.controllers import domains
from gpc_studio.scenes import Randomisation


def ratio(changed, model, field):
    new, old = getattr(changed, field), getattr(model, field)
    return np.divide(new, old, out=np.ones_like(old), where=old != 0)


def test_domain_zero_is_the_task_s_model(arm):
    assert domains.draw(arm, 1)[0] is arm.model
    assert domains.draw(arm, 3, seed=7)[0] is arm.model


def test_only_declared_fields_change_within_their_limits(arm):
    model = arm.model
    for changed in domains.draw(arm, 8, seed=1)[1:]:
        upper, lower = (model.body(name).id for name in ("upper", "lower"))
        masses = ratio(changed, model, "body_mass")[[upper, lower]]
        assert 0.5 <= masses[0] <= 2.0 and masses[0] == pytest.approx(masses[1])
        damping = ratio(changed, model, "dof_damping")
        assert (damping >= 0.1).all() and (damping <= 5.0).all()
        floor = model.geom("floor").id
        friction = changed.geom_friction / model.geom_friction
        assert 0.3 <= friction[floor, 0] <= 0.9
        friction[floor, 0] = 1.0
        np.testing.assert_array_equal(friction, 1.0)
        np.testing.assert_array_equal(changed.body_inertia, model.body_inertia)
        # Constants that follow from the masses were computed again.
        assert changed.body_subtreemass[upper] == pytest.approx(changed.body_mass.sum())
        assert changed.dof_invweight0[0] != model.dof_invweight0[0]


def test_the_task_s_model_stays_as_it_was(arm):
    before = arm.model.body_mass.copy()
    domains.draw(arm, 4)
    np.testing.assert_array_equal(arm.model.body_mass, before)


def test_domains_are_seeded_and_do_not_depend_on_their_number(arm):
    few, many, other = (domains.draw(arm, 3, 5), domains.draw(arm, 9, 5), domains.draw(arm, 3, 6))
    for d in (1, 2):
        np.testing.assert_array_equal(few[d].body_mass, many[d].body_mass)
        assert few[d].body_mass[-1] != other[d].body_mass[-1]
    assert few[1].body_mass[-1] != few[2].body_mass[-1]


def test_options_of_the_model_and_scalars(arm):
    rng = np.random.default_rng(0)
    changed = domains.perturbed(arm.model, (Randomisation("opt.gravity", 0.5, 0.5),), rng)
    np.testing.assert_allclose(changed.opt.gravity, [0, 0, -9.81 / 2])
    changed = domains.perturbed(arm.model, (Randomisation("opt.impratio", 2.0, 2.0),), rng)
    assert changed.opt.impratio == 2 * arm.model.opt.impratio
    joint = Randomisation("dof_damping", 3.0, 3.0, names=("elbow",))
    changed = domains.perturbed(arm.model, (joint,), rng)
    np.testing.assert_allclose(ratio(changed, arm.model, "dof_damping"), [1.0, 3.0])


@pytest.mark.parametrize(
    ("randomisation", "message"),
    [
        (Randomisation("body_weight", 0.5, 2.0), "body_weight.*MjModel"),
        (Randomisation("body_mass", 0.5, 2.0, names=("forearm",)), "body_mass.*forearm"),
        (Randomisation("qpos0", 0.5, 2.0, names=("elbow",)), "leave names empty"),
    ],
)
def test_mistakes_are_explained(arm, randomisation, message):
    with pytest.raises(ValueError, match=message):
        domains.perturbed(arm.model, (randomisation,), np.random.default_rng(0))


def test_copies_are_models_of_the_same_layout(arm):
    changed = domains.draw(arm, 2)[1]
    data = mujoco.MjData(changed)
    mujoco.mj_step(changed, data)
    assert np.isfinite(data.qpos).all()
