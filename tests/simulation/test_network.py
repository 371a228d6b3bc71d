"""Addresses on the loopback interface, and what stands in for those that cannot be bound."""

import socket
from random import Random

from penstock.simulation.network import AddressBook, can_bind, free_port


def test_pods_get_addresses_of_their_own() -> None:
    book = AddressBook()
    addresses = {book.new_pod(8000) for _ in range(50)}
    assert len(addresses) == 50


def test_an_address_that_was_given_back_may_be_given_again() -> None:
    book = AddressBook(Random(1), whole_loopback=False)
    first = book.new_pod(8000)
    book.release_pod(first)
    book.random = Random(1)
    assert book.new_pod(8000) == first


def test_a_place_that_is_free_is_used_as_it_is() -> None:
    book = AddressBook()
    port = free_port()
    assert book.listen_at("127.0.0.1", port) == ("127.0.0.1", port)
    assert book.find("127.0.0.1", port) == ("127.0.0.1", port)


def test_a_place_that_is_taken_is_moved_and_found() -> None:
    book = AddressBook()
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        place = other.getsockname()
        moved = book.listen_at(*place)
        assert moved != place
        assert can_bind(*moved)
        assert book.find(*place) == moved == book.listen_at(*place)
    book.forget(*place)
    assert book.find(*place) == place


def test_where_only_one_loopback_address_exists_every_pod_is_moved() -> None:
    """As on macOS: the address is only a name there."""
    book = AddressBook(whole_loopback=False)
    address = book.new_pod(8000)
    assert address.startswith("127.")
