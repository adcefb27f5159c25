"""Which trainings are wanted from a GPU, in which order, and how long they take."""

from ntkif.study.experiments.on_card import operations
from ntkif.study.records.gpu_trainings import EXPERIMENT, Training, small_trainings, trainings
from ntkif.study.records.parts import parts_of


def test_a_seed_of_each_network_comes_first_then_the_smooth_resnet_and_what_is_not_hoped_for_last():
    jobs = trainings()
    names = [
        "mini-mnist conv, SGD, seed 20",
        "cifar smooth ResNet-9, SGD, seed 20",
        "cifar smooth ResNet-9, Adam, seed 20",
        "cifar ResNet-9, SGD, seed 20",
    ]
    assert [str(jobs[place]) for place in (0, 8, 9, -1)] == names
    seeds = [job.part.key[1] for job in jobs[:8] + jobs[10:-1]]
    assert seeds == sorted(seeds) and {seeds.count(seed) for seed in set(seeds)} == {8}
    wanted = [part for name in ("cifar", "mini-mnist", "mini-cifar") for part in parts_of(EXPERIMENT, name)]
    assert sorted(map(str, jobs)) == sorted(map(str, wanted)) and len(jobs) == 27


def test_each_fits_into_the_minutes_and_learns_from_what_was_seen():
    """A machine that is lent runs a command for ten minutes at most."""
    for job in trainings():
        assert 20 < job.seconds("cuda") < 400
    job = trainings()[8]
    told = job.part.settings
    (case,) = told["cases"]
    size = {name: value for name, value in told.items() if name not in ("cases", "seeds")}
    assert job.operations() == operations(Training(job.part)._case, (3, 32, 32), 10, **size)
    assert job.seconds("cuda") > job.operations() / 4e12 and case["network"] == "resnet"
    assert job.speed("cuda", job.seconds("cuda") / 3, None) == 2
    assert job.speed("cuda", job.seconds("cuda") / 3, 5.0) == 4
    assert job.seconds("cuda", 2.0) - 50 == (job.seconds("cuda") - 50) / 2  # the own kernel is beside the speed


def test_the_small_ones_are_the_same_in_small():
    small = small_trainings()
    assert [job.part.key[1] for job in small] == [job.part.key[1] for job in trainings()]
    for job, large in zip(small, trainings(), strict=True):
        (one,), (other,) = job.part.settings["cases"], large.part.settings["cases"]
        assert (one["network"], one["optimizer"]) == (other["network"], other["optimizer"])
        assert set(job.part.settings) == set(large.part.settings) and job.seconds("cpu") < 5
    assert len({job.part.file("x") for job in small}) == len(small)  # none is another's


def test_small_photographs_have_colours_as_large_ones():
    """Their strides are others than those of grey images, which torch does not take everywhere."""
    for job, large in zip(small_trainings()[:12], trainings(), strict=False):
        images = job.load("cpu").images_train
        assert images.shape[1:] == ((28, 28, 3) if "cifar" in large.part.dataset else (28, 28))
