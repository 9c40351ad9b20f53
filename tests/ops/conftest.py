"""What the tests of training that hold for every backend are given; a file's own fixtures of these names go before."""

import pytest
from train_cases import ANYWHERE, smooth_data


@pytest.fixture(params=ANYWHERE)  # test_train_cuda.py has the device's
def backend(request):
    return request.param


@pytest.fixture
def data():
    return smooth_data()
