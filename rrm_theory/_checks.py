"""Checks of public arguments: one line per call, the argument named, the value shown.

Everything below returns the checked value in the type that the mathematics works with: float64
vectors, Python floats, and exact fractions where a decimal or a rational is meant.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import inf, isfinite
from numbers import Rational, Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = NDArray[np.float64]
Mask = NDArray[np.bool_]
Displacement = ArrayLike | Sequence[Fraction]
# numpy's ArrayLike knows no fractions; these are nested sequences of any numbers.
ExactArray = ArrayLike | Sequence[Any]

# Sums of 2**63 numbers of this size are still finite in float64, so no sum below can overflow.
LARGEST = 2.0**960
# Integers beyond this are not all representable in float64.
LARGEST_INTEGER = 2**53


def loss_vector(losses: ArrayLike) -> Vector:
    """Return ``losses`` as a float64 vector holding exactly the given numbers.

    Raises
    ------
    ValueError
        If ``losses`` is not a non-empty vector of real numbers, holds NaN or -inf, only +inf, a
        finite value beyond 2^960, an integer beyond 2^53, or a long double that float64 cannot
        represent.

    """
    c = exact_vector(losses)
    if c.size == 0:
        msg = f"losses must be a non-empty vector, got shape {c.shape}."
        raise ValueError(msg)
    if np.isnan(c).any():
        msg = f"losses must not be NaN, got nan at index {int(np.isnan(c).argmax())}."
        raise ValueError(msg)
    if c.min() == np.inf:
        msg = f"losses must hold a finite value, got only +inf ({c.size} of them)."
        raise ValueError(msg)
    out_of_range = (np.abs(c) > LARGEST) & (c != np.inf)
    if out_of_range.any():
        i = int(out_of_range.argmax())
        msg = f"losses must lie in [-2^960, 2^960] or be +inf, got {c[i]} at index {i}."
        raise ValueError(msg)
    return c


def exact_vector(losses: ArrayLike) -> Vector:
    """Return any real numbers as a float64 vector, or raise a ValueError if one does not fit."""
    given = _array(losses, "losses")
    if given.ndim != 1:
        msg = f"losses must be a vector, got shape {given.shape}."
        raise ValueError(msg)
    if given.dtype.kind not in "fiu":
        msg = f"losses must be real numbers, got dtype {given.dtype}."
        raise ValueError(msg)
    if given.dtype.kind in "iu":
        refuse_inexact_integers(given.tolist())
    # Byte order and layout are made plain, so that other libraries can take the result.
    c = np.ascontiguousarray(given, dtype=np.float64)
    inexact = (c != given) & ~np.isnan(c)
    if inexact.any():
        i = int(inexact.argmax())
        msg = f"losses must be exact in float64, got {given[i]!r} at index {i}."
        raise ValueError(msg)
    return c


def refuse_inexact_integers(integers: list[int]) -> None:
    """Raise a ValueError if an integer lies beyond 2^53, where float64 has gaps."""
    for i, value in enumerate(integers):
        if abs(value) > LARGEST_INTEGER:
            msg = f"losses must be exact in float64, got the integer {value} at index {i}."
            raise ValueError(msg)


def _array(values: ExactArray, name: str) -> NDArray[Any]:
    """Return ``values`` as an array, or raise a ValueError that names them."""
    try:
        return np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        msg = f"{name} must be an array of real numbers, got {type(values).__name__}: {error}"
        raise ValueError(msg) from error


def positive(value: float, name: str) -> float:
    """Return ``value`` as a float in (0, 2^960], or raise a ValueError that shows it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"{name} must be a number, got {value!r}."
        raise ValueError(msg)
    try:
        number = float(value)
    except OverflowError:
        number = inf
    if not isfinite(number) or number <= 0 or number > LARGEST:
        msg = f"{name} must be positive and finite (at most 2^960), got {value!r}."
        raise ValueError(msg)
    if number != value:
        msg = f"{name} must be exact in float64, got {value!r}."
        raise ValueError(msg)
    return number


def finite(value: float, name: str) -> float:
    """Return ``value`` as a float in [-2^960, 2^960], or raise a ValueError that shows it."""
    if isinstance(value, bool) or not isinstance(value, Real) or not abs(value) <= LARGEST:
        msg = f"{name} must be a finite number (at most 2^960), got {value!r}."
        raise ValueError(msg)
    if float(value) != value:
        msg = f"{name} must be exact in float64, got {value!r}."
        raise ValueError(msg)
    return float(value)


def tolerance(value: float, name: str) -> float:
    """Return ``value`` as a finite float of at least 0, or raise a ValueError that shows it."""
    if isinstance(value, bool) or not isinstance(value, Real) or not 0 <= value < inf:
        msg = f"{name} must be a finite number of at least 0, got {value!r}."
        raise ValueError(msg)
    return float(value)


def fraction_of_samples(value: float | Fraction, name: str) -> Fraction:
    """Return ``value`` in [0, 1) as the fraction a person means by it.

    A float is read as the shortest decimal that denotes it, so 0.4 is 2/5 and 40 % of ten samples
    are four; read as the binary number it is, 0.4 would ask for five.
    """
    exact = _as_written(value)
    if exact is None or not 0 <= exact < 1:
        msg = f"{name} must lie in [0, 1), got {value!r}."
        raise ValueError(msg)
    return exact


def at_least_one(value: float | Fraction, name: str) -> Fraction:
    """Return ``value >= 1`` as the fraction a person means by it, as `fraction_of_samples` does."""
    exact = _as_written(value)
    if exact is None or exact < 1:
        msg = f"{name} must be a finite number of at least 1, got {value!r}."
        raise ValueError(msg)
    return exact


def fraction_at_least_0(value: float | Fraction, name: str) -> Fraction:
    """Return ``value >= 0`` as the fraction a person means by it, as `fraction_of_samples` does."""
    exact = _as_written(value)
    if exact is None or exact < 0:
        msg = f"{name} must be a finite number of at least 0, got {value!r}."
        raise ValueError(msg)
    return exact


def _as_written(value: float | Fraction) -> Fraction | None:
    """Return the shortest decimal that denotes ``value``, or None if it is no finite number."""
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, Rational):
        return _plain(value)
    # str is the shortest decimal of the value's own type, numpy's float32 included.
    return Fraction(str(value)) if isfinite(value) else None


def _plain(value: Rational) -> Fraction:
    """Return a rational made of Python integers; numpy's, of which it may be made, can wrap."""
    if type(value) is Fraction and type(value.numerator) is type(value.denominator) is int:
        return value
    return Fraction(int(value.numerator), int(value.denominator))


def _fraction(value: object, index: int) -> Fraction:
    """Return an entry of u as a fraction, or raise a ValueError that shows it."""
    if isinstance(value, bool) or not isinstance(value, Real):
        msg = f"u must hold real numbers, got {value!r} at index {index}."
        raise ValueError(msg)
    if isinstance(value, Rational):
        return _plain(value)
    if not isfinite(value):
        msg = f"u must be finite, got {value!r} at index {index}."
        raise ValueError(msg)
    return Fraction(float(value))


def displacement(u: Displacement, n: int) -> NDArray[Any]:
    """Return ``u`` as an array of shape (n,): of its own float type, or of Fractions if it has any.

    Raises
    ------
    ValueError
        If ``u`` has another shape, or an entry that is not a finite real number.

    """
    given = _array(u, "u")
    if given.shape != (n,):
        msg = f"u must have shape ({n},) like losses, got {given.shape}."
        raise ValueError(msg)
    if given.dtype.kind == "O":
        exact = np.empty(n, dtype=object)
        exact[:] = [_fraction(value, i) for i, value in enumerate(given.tolist())]
        return exact
    if given.dtype.kind not in "fiu":
        msg = f"u must hold real numbers, got dtype {given.dtype}."
        raise ValueError(msg)
    narrow = given.dtype.kind == "f" and given.dtype.itemsize <= np.dtype(np.float64).itemsize
    floats = given if narrow else given.astype(np.float64)
    # In float64, because float32 cannot hold the bound.
    beyond = ~(np.abs(floats.astype(np.float64)) <= LARGEST)
    if beyond.any():
        i = int(beyond.argmax())
        msg = f"u must be finite (at most 2^960), got {floats[i]} at index {i}."
        raise ValueError(msg)
    return floats


def distribution(nominal: ArrayLike, n: int) -> Vector:
    """Return ``nominal`` as a float64 probability vector of length ``n``.

    It may miss 1 by n units of rounding, no more; it is then used as given, not renormalised.
    """
    given = _array(nominal, "nominal")
    if given.dtype.kind not in "fiu":
        msg = f"nominal must be real numbers, got dtype {given.dtype}."
        raise ValueError(msg)
    q = given.astype(np.float64)
    if q.shape != (n,):
        msg = f"nominal must have shape ({n},) like losses, got {q.shape}."
        raise ValueError(msg)
    bad = ~(q >= 0)
    if bad.any():
        i = int(bad.argmax())
        msg = f"nominal must be nonnegative, got {q[i]} at index {i}."
        raise ValueError(msg)
    total = float(q.sum())
    if not abs(total - 1.0) <= n * np.finfo(np.float64).eps:
        msg = f"nominal must sum to 1, got {total!r}."
        raise ValueError(msg)
    return q


def nominal_floats(q: Vector | None, n: int) -> Vector:
    """Return q in float64; if not given, 1/n each, rounded once."""
    return np.full(n, 1 / n) if q is None else q


def fraction_up_to_1(value: float | Fraction, name: str) -> Fraction:
    """Return ``value`` in [0, 1] as the fraction a person means, as `fraction_of_samples` does."""
    exact = _as_written(value)
    if exact is None or not 0 <= exact <= 1:
        msg = f"{name} must lie in [0, 1], got {value!r}."
        raise ValueError(msg)
    return exact


def probability_rows(given: ExactArray, name: str) -> NDArray[Any]:
    """Return ``given`` as a matrix whose rows lie in the simplex, fractions or float64.

    Fractions (and integers) must sum to 1 exactly, floats up to a unit of rounding an entry, of
    their own type.
    """
    rows = _array(given, name)
    if rows.ndim != 2 or 0 in rows.shape:
        msg = f"{name} must be a matrix, got shape {rows.shape}."
        raise ValueError(msg)
    slack = 0.0
    if rows.dtype.kind in "Oiu":
        rows = numbers_by_index(rows, name)
    elif rows.dtype.kind == "f":
        slack = rows.shape[1] * float(np.finfo(rows.dtype).eps)
        rows = rows.astype(np.float64)
    else:
        msg = f"{name} must be real numbers, got dtype {rows.dtype}."
        raise ValueError(msg)
    for i, row in enumerate(rows):
        if not (row >= 0).all() or not abs(row.sum() - 1) <= slack:
            shown = ", ".join(map(str, row.tolist()))
            msg = f"{name} must have rows of probabilities, got ({shown}) in row {i}."
            raise ValueError(msg)
    return rows


def numbers_by_index(given: ExactArray, name: str) -> NDArray[Any]:
    """Return an array of fractions, or raise a ValueError that shows the entry that is none."""
    numbers = _array(given, name)
    exact = np.empty(numbers.shape, dtype=object)
    for index, value in np.ndenumerate(numbers):
        if isinstance(value, bool | np.bool_) or not isinstance(value, Real) or not isfinite(value):
            msg = f"{name} must hold finite real numbers, got {value!r} at {index}."
            raise ValueError(msg)
        exact[index] = _plain(value) if isinstance(value, Rational) else Fraction(float(value))
    return exact


def in_one_type(*arrays: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return the arrays as they are if all hold fractions, in float64 if one holds floats."""
    if all(array.dtype == object for array in arrays):
        return arrays
    return tuple(array.astype(np.float64) for array in arrays)


def class_indices(labels: ArrayLike, samples: int, classes: int) -> NDArray[np.intp]:
    """Return labels as indices of shape (samples,), each in [0, classes)."""
    y = _array(labels, "labels")
    if y.shape != (samples,) or y.dtype.kind not in "iu":
        msg = f"labels must be {samples} integers, got shape {y.shape} and dtype {y.dtype}."
        raise ValueError(msg)
    refuse_index(y.tolist(), classes, "labels")
    return y.astype(np.intp)


def refuse_index(indices: Sequence[int], classes: int, name: str) -> None:
    """Raise a ValueError if an index is not one of the classes."""
    for i, index in enumerate(indices):
        if not 0 <= index < classes:
            msg = f"{name} must lie in [0, {classes}), got {index!r} at index {i}."
            raise ValueError(msg)
