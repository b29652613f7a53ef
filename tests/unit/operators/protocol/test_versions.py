"""Which versions a broker serves: equal to what kafka-python reads in the same bytes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kafka.protocol.metadata import ApiVersionsRequest, ApiVersionsResponse

from operators.protocol import versions

int16 = st.integers(-(2**15), 2**15 - 1)
answers = st.builds(
    ApiVersionsResponse,
    error_code=st.sampled_from([0, 41]),
    api_keys=st.lists(
        st.builds(
            ApiVersionsResponse.ApiVersion, api_key=int16, min_version=int16, max_version=int16
        ),
        max_size=140,
        unique_by=lambda key: key.api_key,
    ),
    throttle_time_ms=st.just(0),
)


@given(answers, st.sampled_from([0, 3]))
def test_versions_are_those_of_the_answer(answer: ApiVersionsResponse, version: int) -> None:
    """By key, in the oldest version and in the newest."""
    error, served = versions.served(bytes(answer.encode(version=version)), version)
    assert error == answer.error_code
    assert served == {k.api_key: (k.min_version, k.max_version) for k in answer.api_keys}


def test_a_broker_that_does_not_know_the_version_says_which_it_knows() -> None:
    """In version 0, whatever it was asked in."""
    known = ApiVersionsResponse.ApiVersion(api_key=18, min_version=0, max_version=2)
    answer = ApiVersionsResponse(error_code=35, api_keys=[known]).encode(version=0)
    assert versions.served(bytes(answer), versions.HIGHEST) == (35, {18: (0, 2)})


def test_the_request_says_who_asks() -> None:
    """From the version on that has a place for it."""
    asked = ApiVersionsRequest.decode(versions.request(3), version=3)
    assert (asked.client_software_name, asked.client_software_version) == ("mqpipe", "1")
    assert versions.request(2) == b""


@given(answers, st.integers(0, 200))
def test_a_cut_answer_is_none(answer: ApiVersionsResponse, at: int) -> None:
    """It is an error, wherever it ends."""
    whole = bytes(answer.encode(version=3))
    if at < len(whole) - 5 and answer.api_keys:
        cut = whole[: min(at, len(whole) - 6)]
        with pytest.raises(ValueError, match="early"):
            versions.served(cut, 3)
