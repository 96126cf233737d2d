"""Alternating least squares for implicit feedback: train, recommend, fold in, update, explain."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any, Literal, Self, cast

import numpy as np
import numpy.typing as npt

from . import _core, storage
from .als_features import FeatureMap
from .als_objective import Float64Array, Objective, Solver, make_objective, solve_rows
from .als_training import Factors, Iteration, Progress, Sweep
from .arrays import Csr, FloatArray, Int64Array, as_count, as_csr, as_ids, as_matrix, describe
from .errors import DeviceUnavailable, FormatError, InvalidArgument, NotFitted
from .evaluation import evaluate
from .topk import TopKIndex

__all__ = ["AlternatingLeastSquares", "Iteration"]

_KIND = "als"
_MAX_ROWS = 2**31 - 1  # users or items: ids in CSR matrices are int32


class AlternatingLeastSquares:
    """Matrix factorisation for implicit feedback, trained by alternating least squares.

    The interface is that of ``implicit.als.AlternatingLeastSquares`` (0.7), with these differences: matrices may be
    ``csr_matrix``, ``csr_array`` or ``Interactions`` with any index type; ids are int64; filtered items never come
    back, where a result has fewer than N items the rest is id -1 with score -inf; factor arrays are read-only.

    Args:
        factors: length of the factor vectors.
        regularization: weight of the squared factors in the objective.
        alpha: confidence per unit of value.
        iterations: sweeps over users and items.
        objective: ``"implicit"`` or ``"ials"``; see :mod:`ecocore.als_objective` for both formulas. A negative value in
            the data is a dislike: target 0, held with confidence alpha * abs(value).
        unobserved_weight: alpha0 of ``"ials"``, the weight of every pair's squared score; default 0.1.
        regularization_exponent: nu of ``"ials"``; default 1, regularisation in proportion to a row's weight.
        solver: ``"cholesky"`` is exact; ``"cg"`` takes ``cg_steps`` steps of conjugate gradient from the last factors,
            as implicit does; ``"auto"`` takes CG for rows whose factors fit the cache (2 MB) and is exact for longer.
        cg_steps: steps of conjugate gradient.
        random_state: seed or generator of the start. For ``"implicit"`` a seed gives the start that implicit takes:
            uniform in [0, 0.01), users first; for ``"ials"`` normal with deviation 0.1 / sqrt(factors).
        num_threads: 0 = automatic. The result is the same bits for any number.
        device: ``"auto"`` or ``"cpu"``.
        dtype, use_native, use_cg, use_gpu: implicit's; float32, True and False are all there is, ``use_cg`` True and
            False stand for solver ``"cg"`` and ``"cholesky"``.
        calculate_training_loss: whether ``fit`` computes the objective after each iteration, divided by the sum of all
            confidences.

    Attributes:
        user_factors: float32 (n_users, factors), read-only, or None. Set before ``fit``, they are the start.
        item_factors: float32 (n_items, factors), likewise.
        history: one :class:`Iteration` for each iteration of the last ``fit``.

    Raises:
        InvalidArgument: an argument is out of its range.
        DeviceUnavailable: a device was asked for that is not there.
    """

    def __init__(
        self,
        factors: int = 100,
        regularization: float = 0.01,
        alpha: float = 1.0,
        iterations: int = 15,
        *,
        objective: Literal["implicit", "ials"] = "implicit",
        unobserved_weight: float | None = None,
        regularization_exponent: float | None = None,
        solver: Solver = "auto",
        cg_steps: int = 3,
        random_state: int | np.random.Generator | np.random.RandomState | None = None,
        num_threads: int = 0,
        device: str = "auto",
        dtype: npt.DTypeLike = np.float32,
        use_native: bool = True,
        use_cg: bool | None = None,
        use_gpu: bool = False,
        calculate_training_loss: bool = False,
    ) -> None:
        if np.dtype(dtype) != np.float32:
            raise InvalidArgument(f"dtype: expected float32, the only type factors have here; got {np.dtype(dtype)}")
        if not use_native:
            raise InvalidArgument("use_native: expected True; ecocore has no other implementation")
        if device not in ("auto", "cpu", "cuda"):
            raise InvalidArgument(f"device: expected 'auto', 'cpu' or 'cuda'; got {describe(device)}")
        if use_gpu or device == "cuda":
            asked = "use_gpu=True" if use_gpu else "device='cuda'"
            raise DeviceUnavailable(f"{asked}: this build of ecocore trains on the CPU only; use device='auto'")
        if use_cg is not None:
            wanted: Solver = "cg" if use_cg else "cholesky"
            if solver not in ("auto", wanted):
                raise InvalidArgument(f"use_cg: {use_cg} contradicts solver={solver!r}; give one of the two")
            solver = wanted
        self.factors = factors
        self.regularization = regularization
        self.alpha = alpha
        self.iterations = iterations
        self.objective = objective
        self.unobserved_weight = unobserved_weight
        self.regularization_exponent = regularization_exponent
        self.solver: Solver = solver
        self.cg_steps = cg_steps
        self.random_state = random_state
        self.num_threads = num_threads
        self.calculate_training_loss = calculate_training_loss
        self.history: list[Iteration] = []
        self._state = Factors()
        self._forget()
        self._checked()
        _generator(random_state)

    def __repr__(self) -> str:
        shape = "not fitted"
        if self._state.users is not None and self._state.items is not None:
            shape = f"{len(self._state.users)} users x {len(self._state.items)} items"
        return f"AlternatingLeastSquares(factors={self.factors}, objective={self.objective!r}; {shape})"

    # ---- factors ---------------------------------------------------------------------------------------------------

    @property
    def user_factors(self) -> FloatArray | None:
        return self._state.users

    @user_factors.setter
    def user_factors(self, value: npt.ArrayLike | None) -> None:
        users = None if value is None else _frozen(as_matrix(value, "user_factors"), value)
        self._replace(Factors(users, self._state.items, self._state.cold, self._state.feature_map))

    @property
    def item_factors(self) -> FloatArray | None:
        return self._state.items

    @item_factors.setter
    def item_factors(self, value: npt.ArrayLike | None) -> None:
        items = None if value is None else _frozen(as_matrix(value, "item_factors"), value)
        self._replace(Factors(self._state.users, items))

    def _replace(self, state: Factors) -> None:
        """Takes new factors; what was derived from the old ones goes."""
        for array in (state.users, state.items):
            if array is not None:
                array.flags.writeable = False
        old, self._state = self._state, state
        self._forget(users=state.users is not old.users, items=state.items is not old.items)

    def _forget(self, *, users: bool = True, items: bool = True) -> None:
        if users:
            self._user_gram: Float64Array | None = None
            self._similar_users: TopKIndex | None = None
        if items:
            self._item_gram: Float64Array | None = None
            self._index: TopKIndex | None = None
            self._similar_items: TopKIndex | None = None

    def _fitted_users(self) -> FloatArray:
        if self._state.users is None:
            raise NotFitted("the model has no user factors yet; call fit(user_items) or load(path) first")
        return self._state.users

    def _fitted_items(self) -> FloatArray:
        if self._state.items is None:
            raise NotFitted("the model has no item factors yet; call fit(user_items) or load(path) first")
        return self._state.items

    def _grams(self) -> tuple[Float64Array, Float64Array]:
        """X^T X and Y^T Y, without items that nobody could have interacted with."""
        if self._user_gram is None:
            self._user_gram = _core.als_gram(self._fitted_users(), num_threads=self.num_threads)
        if self._item_gram is None:
            items = self._fitted_items()
            seen = items if self._state.cold is None else np.where(self._state.cold[:, None], np.float32(0), items)
            self._item_gram = _core.als_gram(seen, num_threads=self.num_threads)
        return self._user_gram, self._item_gram

    # ---- training --------------------------------------------------------------------------------------------------

    def _checked(self) -> Objective:
        """Attributes are open to change, as implicit's are: checked whenever they are used."""
        as_count(self.factors, "factors")
        as_count(self.iterations, "iterations", minimum=0)
        as_count(self.cg_steps, "cg_steps")
        as_count(self.num_threads, "num_threads", minimum=0)
        if self.solver not in ("auto", "cholesky", "cg"):
            raise InvalidArgument(f"solver: expected 'auto', 'cholesky' or 'cg'; got {describe(self.solver)}")
        return make_objective(
            self.objective, self.alpha, self.regularization, self.unobserved_weight, self.regularization_exponent
        )

    def fit(
        self,
        user_items: Any,
        show_progress: bool = True,
        callback: Callable[[int, float, float | None], object] | None = None,
        *,
        validation: Any = None,
        validation_k: int = 20,
        validation_metric: Literal["ndcg", "recall"] = "ndcg",
        early_stopping: int | None = None,
        item_features: npt.ArrayLike | None = None,
        feature_strength: float = 1.0,
    ) -> Self:
        """Learns the factors.

        Ctrl-C leaves the model with the factors of the last finished iteration. A second ``fit`` goes on from where the
        first ended; set ``user_factors`` and ``item_factors`` to None to start afresh.

        Args:
            user_items: CSR matrix (n_users, n_items) of how much each user has of each item. Stored zeros count as
                observed with confidence 0.
            show_progress: a line on stderr, where that is a terminal.
            callback: called after each iteration with (iteration, seconds, loss or None).
            validation: CSR matrix like ``user_items`` with items held out. After each iteration ``validation_k`` items
                that are not in ``user_items`` are recommended to each user in it; ``validation_metric``, ``"ndcg"`` or
                ``"recall"``, is recorded in ``history``.
            early_stopping: stop when the metric has not risen for so many iterations, and return to the best factors.
            item_features: float32 (n_items, n_features). Item factors are drawn towards an affine function of the
                features, learned on the way (:class:`ecocore.als_features.FeaturePrior`): items without interactions
                get factors from it, and :meth:`add_items` takes new ones. No column of ones is needed; features should
                be of like scale.
            feature_strength: weight of the ridge penalty on that function, in average items.

        Raises:
            InvalidArgument: an argument does not fit, or the equations have no finite solution.
        """
        objective = self._checked()
        users = as_csr(user_items, "user_items", num_threads=self.num_threads)
        if 0 in users.shape:
            raise InvalidArgument(f"user_items: expected at least one user and one item; got shape {users.shape}")
        if early_stopping is not None:
            as_count(early_stopping, "early_stopping")
            if validation is None:
                raise InvalidArgument("early_stopping: needs validation, a CSR matrix of held-out items")
        if validation_metric not in ("ndcg", "recall"):
            raise InvalidArgument(f"validation_metric: expected 'ndcg' or 'recall'; got {describe(validation_metric)}")
        if validation is not None:
            validation = as_csr(validation, "validation", shape=users.shape, pattern=True)
            if validation.nnz == 0:
                raise InvalidArgument("validation: expected at least one held-out item; got an empty matrix")
            validation_k = as_count(validation_k, "validation_k")
        sweep = Sweep(
            objective,
            users,
            item_features=item_features,
            feature_strength=feature_strength,
            solver=self.solver,
            cg_steps=self.cg_steps,
            num_threads=self.num_threads,
        )
        state = sweep.start(self._start(users))
        self.history = []
        best: tuple[float, int, Factors] | None = None
        with Progress(self.iterations, show_progress) as progress:
            for iteration in range(self.iterations):
                began = time.perf_counter()
                state, published = sweep.step(state)
                self._replace(published)
                loss = sweep.loss(state) if self.calculate_training_loss else None
                seconds = time.perf_counter() - began
                metric = None
                if validation is not None:
                    metric = evaluate(self, users, validation, k=validation_k, num_threads=self.num_threads)[
                        validation_metric
                    ]
                    if best is None or metric > best[0]:
                        best = (metric, iteration, published)
                self.history.append(Iteration(iteration, seconds, loss, metric))
                progress.show(self.history[-1], f"{validation_metric}@{validation_k}")
                if callback is not None:
                    callback(iteration, seconds, loss)
                if early_stopping is not None and best is not None and iteration - best[1] >= early_stopping:
                    break
        if early_stopping is not None and best is not None:
            self._replace(best[2])
        elif self.iterations == 0:
            self._replace(Factors(state.users, state.items))
        return self

    def _start(self, users: Csr) -> tuple[FloatArray, FloatArray]:
        """The factors to begin with: those that are set, random ones else."""
        rng = _generator(self.random_state)
        n_users, n_items = users.shape
        out: list[FloatArray] = []
        for given, count, name, axis in (
            (self._state.users, n_users, "user_factors", "rows"),
            (self._state.items, n_items, "item_factors", "columns"),
        ):
            if given is None:
                if self.objective == "implicit":
                    out.append(rng.random((count, self.factors), dtype=np.float32) * np.float32(0.01))
                else:
                    deviation = np.float32(0.1 / np.sqrt(self.factors))
                    out.append(rng.standard_normal((count, self.factors), dtype=np.float32) * deviation)
            elif given.shape != (count, self.factors):
                raise InvalidArgument(
                    f"user_items: its {count} {axis} with {self.factors} factors need {name} of shape"
                    f" ({count}, {self.factors}); the model's have shape {given.shape};"
                    f" set model.{name} = None to start afresh"
                )
            else:
                out.append(given)
        return out[0], out[1]

    # ---- recommending ----------------------------------------------------------------------------------------------

    def recommend(
        self,
        userid: Any,
        user_items: Any,
        N: int = 10,
        filter_already_liked_items: bool = True,
        filter_items: npt.ArrayLike | None = None,
        recalculate_user: bool = False,
        items: npt.ArrayLike | None = None,
    ) -> tuple[Int64Array, FloatArray]:
        """The N items of highest score for one user or several.

        Args:
            userid: an id, or an array of ids.
            user_items: CSR matrix with one row for each of these users, in the same order: what to filter and to
                recalculate from. Not used, and may be None, when neither is asked for. It may have fewer columns than
                the model has items, when items were added since.
            N: number of items; more than there are is allowed, the rest is then -1.
            filter_already_liked_items: leave out the items stored in ``user_items``.
            filter_items: item ids to leave out for all users.
            recalculate_user: compute the users' factors from ``user_items`` instead of taking the stored ones: for
                users that are new, or have new interactions. ``userid`` then only gives the number of users.
            items: item ids to choose from; N is then at most their number.

        Returns:
            ids int64 and scores float32, of shape (N,) for one user or (len(userid), N). Best first, equal scores by
            id; -1 and -inf where there are no more items.
        """
        history = None
        if filter_already_liked_items or recalculate_user:
            history = self._history(user_items, "user_items", np.size(userid), len(self._fitted_items()))
        if recalculate_user:
            vectors = self._fold_in_users(cast(Csr, history))
            vectors = vectors[0] if np.ndim(userid) == 0 else vectors
        else:
            vectors = _rows(self._fitted_users(), userid, "userid")
        if self._index is None:
            self._index = TopKIndex(self._fitted_items(), num_threads=self.num_threads)
        return _search(self._index, vectors, N, history if filter_already_liked_items else None, filter_items, items)

    def similar_items(
        self,
        itemid: Any,
        N: int = 10,
        recalculate_item: bool = False,
        item_users: Any = None,
        filter_items: npt.ArrayLike | None = None,
        items: npt.ArrayLike | None = None,
    ) -> tuple[Int64Array, FloatArray]:
        """The N items whose factors have the highest cosine with those of one item or several; the item itself is among
        them.

        ``recalculate_item`` computes the factors from ``item_users``, a CSR matrix (one row for each item, n_users).
        Other arguments and the result as for :meth:`recommend`.
        """
        if recalculate_item:
            vectors = self.recalculate_item(itemid, item_users)
        else:
            vectors = _rows(self._fitted_items(), itemid, "itemid")
        if self._similar_items is None:
            self._similar_items = TopKIndex(_unit(self._fitted_items()), num_threads=self.num_threads)
        return _search(self._similar_items, _unit(vectors), N, None, filter_items, items)

    def similar_users(
        self, userid: Any, N: int = 10, filter_users: npt.ArrayLike | None = None, users: npt.ArrayLike | None = None
    ) -> tuple[Int64Array, FloatArray]:
        """The N users whose factors have the highest cosine with those of one user or several, as
        :meth:`similar_items`."""
        vectors = _rows(self._fitted_users(), userid, "userid")
        if self._similar_users is None:
            self._similar_users = TopKIndex(_unit(self._fitted_users()), num_threads=self.num_threads)
        return _search(self._similar_users, _unit(vectors), N, None, filter_users, users)

    def explain(
        self, userid: int, user_items: Any, itemid: int, user_weights: Any = None, N: int = 10
    ) -> tuple[float, list[tuple[int, float]], Float64Array]:
        """How much each item that a user likes contributes to the score of ``itemid``.

        Args:
            userid: the user's row in ``user_items``.
            user_items: CSR matrix (n_users, n_items), or a single row for this user.
            user_weights: the third result of an earlier call for the same user, to save most of the work.
            N: number of contributions to return.

        Returns:
            the score that the user's exact factors give the item, the sum of all contributions; the N greatest
            (item id, contribution), greatest first; and the weights to hand to the next call, float64 (factors,
            factors).
        """
        objective = self._checked()
        factors = self._fitted_items()
        N = as_count(N, "N")
        liked = self._history(user_items, "user_items", None, len(factors))
        user = int(as_ids(userid, "userid", max(liked.shape[0], 1) if liked.shape[0] != 1 else _MAX_ROWS)[0])
        item = int(as_ids(itemid, "itemid", len(factors))[0])
        ids, values = liked.row(0 if liked.shape[0] == 1 else user)
        rated = factors[ids].astype(np.float64)
        signed = objective.alpha * (np.ones(ids.size) if values is None else values.astype(np.float64))
        if user_weights is None:
            weights = objective.weights
            matrix = weights["gram_weight"] * self._grams()[1]
            matrix += (rated.T * (np.abs(signed) + weights["weight_offset"])) @ rated
            penalty = self._user_regularization(objective, np.array([ids.size]))
            matrix[np.diag_indices_from(matrix)] += float(penalty[0])
            try:
                user_weights = np.linalg.inv(matrix)
            except np.linalg.LinAlgError:
                raise InvalidArgument(
                    f"regularization: the equations of user {user} are singular; raise regularization"
                ) from None
        else:
            user_weights = np.asarray(user_weights, np.float64)
            if user_weights.shape != (factors.shape[1],) * 2:
                raise InvalidArgument(
                    f"user_weights: expected the third result of an earlier call, shape {(factors.shape[1],) * 2};"
                    f" got {describe(user_weights)}"
                )
        contributions = (rated @ (user_weights @ factors[item])) * np.maximum(signed, 0)
        liked_at = np.flatnonzero(signed > 0)
        top = liked_at[np.argsort(-contributions[liked_at], kind="stable")[:N]]
        pairs = list(zip(ids[top].tolist(), contributions[top].tolist(), strict=True))
        return float(contributions.sum()), pairs, user_weights

    # ---- updating --------------------------------------------------------------------------------------------------

    def recalculate_user(self, userid: Any, user_items: Any) -> FloatArray:
        """Exact factors of one user or several from their whole history, without storing them.

        ``user_items``: CSR matrix with a row for each user. Returns float32 (factors,) or (len(userid), factors).
        """
        history = self._history(user_items, "user_items", np.size(userid), len(self._fitted_items()))
        out = self._fold_in_users(history)
        return out[0] if np.ndim(userid) == 0 else out

    def recalculate_item(self, itemid: Any, item_users: Any) -> FloatArray:
        """Exact factors of one item or several from all their users: as :meth:`recalculate_user`, with a CSR matrix
        (len(itemid), n_users). Features play no part."""
        objective = self._checked()
        users = self._fitted_users()
        history = self._history(item_users, "item_users", np.size(itemid), len(users))
        penalty = objective.row_regularization(np.diff(history.indptr), len(users))
        out = solve_rows(objective, history, users, self._grams()[0], penalty, num_threads=self.num_threads)
        return out[0] if np.ndim(itemid) == 0 else out

    def partial_fit_users(self, userids: npt.ArrayLike, user_items: Any) -> None:
        """Recalculates users from their whole history and stores them. New ids enlarge the model (ids between get zero
        factors). The factor matrix is copied, so that readers in other threads keep a whole one: hand over many users
        at once."""
        ids = _distinct(userids, "userids")
        users = _with_rows(self._fitted_users(), ids, self.recalculate_user(ids, user_items))
        self._replace(Factors(users, self._state.items, self._state.cold, self._state.feature_map))

    def partial_fit_items(self, itemids: npt.ArrayLike, item_users: Any) -> None:
        """Recalculates items from all their users and stores them, as :meth:`partial_fit_users`."""
        ids = _distinct(itemids, "itemids")
        items = _with_rows(self._fitted_items(), ids, self.recalculate_item(ids, item_users))
        cold = self._state.cold
        if cold is not None:
            cold = np.concatenate([cold, np.zeros(len(items) - cold.size, np.bool_)])
            cold[ids] = False
        self._replace(Factors(self._state.users, items, cold, self._state.feature_map))

    def item_factors_from_features(self, features: npt.ArrayLike) -> FloatArray:
        """Factors (n, factors) of items that nobody has interacted with, from their features (n, n_features). The model
        must have been fitted with ``item_features``."""
        if self._state.feature_map is None:
            raise NotFitted("the model knows no item features; call fit(user_items, item_features=...) first")
        return self._state.feature_map(as_matrix(features, "features", columns=self._state.feature_map.n_features))

    def add_items(self, features: npt.ArrayLike) -> Int64Array:
        """Appends items that nobody has interacted with, so that they can be recommended; returns their ids, int64.
        ``features``: (n, n_features). Update them with :meth:`partial_fit_items` once they have users."""
        new = self.item_factors_from_features(features)
        old = self._fitted_items()
        cold = self._state.cold if self._state.cold is not None else np.zeros(len(old), np.bool_)
        gram = self._item_gram  # the new items do not count in it
        self._replace(
            Factors(
                self._state.users,
                np.concatenate([old, new]),
                np.concatenate([cold, np.ones(len(new), np.bool_)]),
                self._state.feature_map,
            )
        )
        self._item_gram = gram
        return np.arange(len(old), len(old) + len(new))

    def _history(self, x: Any, name: str, rows: int | None, columns: int) -> Csr:
        """The checked matrix, widened to the model where it knows fewer columns."""
        m = as_csr(x, name, shape=(rows, None), num_threads=self.num_threads)
        if m.shape[1] > columns:
            raise InvalidArgument(
                f"{name}: expected at most {columns} columns, as many as the model knows; got shape {m.shape};"
                " fit the model on the larger matrix first"
            )
        return Csr(m.indptr, m.indices, m.data, (m.shape[0], columns))

    def _user_regularization(self, objective: Objective, counts: Int64Array) -> FloatArray:
        items = self._fitted_items()
        cold = 0 if self._state.cold is None else int(self._state.cold.sum())
        return objective.row_regularization(counts, len(items) - cold)

    def _fold_in_users(self, history: Csr) -> FloatArray:
        objective = self._checked()
        items = self._fitted_items()
        penalty = self._user_regularization(objective, np.diff(history.indptr))
        return solve_rows(objective, history, items, self._grams()[1], penalty, num_threads=self.num_threads)

    # ---- saving ----------------------------------------------------------------------------------------------------

    def to_parts(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """The model as JSON values and arrays, for :mod:`ecocore.storage`. A generator as ``random_state`` is left
        out."""
        state = self._state
        meta: dict[str, Any] = {name: getattr(self, name) for name in _PARAMETERS}
        if not isinstance(self.random_state, (int, np.integer)):
            meta["random_state"] = None
        meta = {k: v.item() if isinstance(v, np.generic) else v for k, v in meta.items()}
        arrays: dict[str, npt.NDArray[Any]] = {
            "user_factors": self._fitted_users(),
            "item_factors": self._fitted_items(),
        }
        if state.cold is not None:
            arrays["cold_items"] = state.cold
        if state.feature_map is not None:
            arrays["feature_weights"] = state.feature_map.weights
        return meta, arrays

    @classmethod
    def from_parts(cls, meta: dict[str, Any], arrays: dict[str, npt.NDArray[Any]]) -> Self:
        """The model that :meth:`to_parts` took apart. Arrays are used in place. Raises FormatError for parts that do
        not make a model."""
        try:
            model = cls(**{name: meta[name] for name in _PARAMETERS})
            users, items = arrays["user_factors"], arrays["item_factors"]
        except (KeyError, TypeError, InvalidArgument) as e:
            raise FormatError(f"not a saved ALS model: {e}; save it again") from e
        cold, weights = arrays.get("cold_items"), arrays.get("feature_weights")
        width = (model.factors,)
        for name, array, dtype, shape in (
            ("user_factors", users, np.float32, (len(users), *width)),
            ("item_factors", items, np.float32, (len(items), *width)),
            ("cold_items", cold, np.bool_, (len(items),)),
            ("feature_weights", weights, np.float32, (0 if weights is None else len(weights), *width)),
        ):
            if array is not None and (array.dtype != dtype or array.shape != shape or not array.flags.c_contiguous):
                raise FormatError(f"{name}: expected {np.dtype(dtype)} of shape {shape}; got {describe(array)}")
        model._replace(Factors(users, items, cold, None if weights is None else FeatureMap(weights)))
        return model

    def save(self, path: str | os.PathLike[str]) -> None:
        """Saves the model as the folder ``path``, atomically and without pickle."""
        storage.write_folder(path, _KIND, *self.to_parts())

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Self:
        """The model saved at ``path``; its factors are memory-mapped."""
        return cls.from_parts(*storage.read_folder(path, _KIND))


_PARAMETERS = (
    "factors",
    "regularization",
    "alpha",
    "iterations",
    "objective",
    "unobserved_weight",
    "regularization_exponent",
    "solver",
    "cg_steps",
    "random_state",
    "num_threads",
    "calculate_training_loss",
)


def _generator(random_state: Any) -> np.random.Generator:
    """NumPy's default generator from a seed, as implicit makes it; a legacy RandomState seeds one."""
    if isinstance(random_state, np.random.RandomState):
        return np.random.default_rng(random_state.randint(2**31 - 1))
    try:
        return np.random.default_rng(random_state)
    except (TypeError, ValueError) as e:
        raise InvalidArgument(
            f"random_state: expected a seed of at least 0, a NumPy generator or None; got {describe(random_state)}"
        ) from e


def _frozen(a: FloatArray, source: Any) -> FloatArray:
    """An array that nobody else writes to: a copy where it may be the caller's own."""
    return a.copy() if a.flags.writeable and np.may_share_memory(a, np.asarray(source)) else a


def _rows(factors: FloatArray, ids: Any, name: str) -> FloatArray:
    """The factors of one id, (factors,), or of several, (n, factors)."""
    found = factors[as_ids(ids, name, len(factors))]
    return found[0] if np.ndim(ids) == 0 else found


def _unit(factors: FloatArray) -> FloatArray:
    """Rows scaled to length 1; zero rows stay zero."""
    norms = np.sqrt(np.einsum("...k,...k->...", factors, factors, dtype=np.float64))[..., None]
    return (factors / np.where(norms == 0, 1, norms)).astype(np.float32)


def _distinct(x: npt.ArrayLike, name: str) -> Int64Array:
    ids = as_ids(x, name, _MAX_ROWS)
    if np.unique(ids).size != ids.size:
        raise InvalidArgument(f"{name}: expected each id once; got {describe(np.asarray(x))} with repetitions")
    return ids


def _with_rows(factors: FloatArray, ids: Int64Array, rows: FloatArray) -> FloatArray:
    """A copy with these rows replaced, enlarged by zero rows as far as the ids reach."""
    count = max(len(factors), int(ids.max(initial=-1)) + 1)
    out = np.zeros((count, factors.shape[1]), np.float32)
    out[: len(factors)] = factors
    out[ids] = rows
    return out


def _search(
    index: TopKIndex,
    vectors: FloatArray,
    N: int,
    exclude: Csr | None,
    deny: npt.ArrayLike | None,
    allow: npt.ArrayLike | None,
) -> tuple[Int64Array, FloatArray]:
    """Top-k in implicit's shapes: as many columns as were asked for, but for a list of items that is shorter."""
    N = as_count(N, "N", maximum=_MAX_ROWS)
    if allow is not None:
        allow = np.unique(as_ids(allow, "items", index.n_items))
        if allow.size == 0:
            raise InvalidArgument("items: expected at least one id to choose from; got none; use None for all items")
        N = min(N, allow.size)
    if deny is not None:
        deny = as_ids(deny, "filter_items", index.n_items)
    count = min(N, index.n_items)
    ids, scores = index.search(vectors, count, exclude=exclude, allow=allow, deny=deny)
    if count == N:
        return ids, scores
    missing = [(0, 0)] * (ids.ndim - 1) + [(0, N - count)]
    return np.pad(ids, missing, constant_values=-1), np.pad(scores, missing, constant_values=-np.inf)
