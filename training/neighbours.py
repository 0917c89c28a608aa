"""What the device makes of the model, in NumPy: standardise, project, nearest neighbours."""

import numpy as np

NEIGHBOURS = 5
PROJECTED = 64
ANCHORS_PER_CLASS = 30


class Neighbours:
    """Fitted on embeddings of labelled frames; the anchors are the first few of each class."""

    def __init__(self, embeddings: np.ndarray, labels: np.ndarray):
        self._mean = embeddings.mean(axis=0)
        self._scale = embeddings.std(axis=0) + 1e-6
        standard = (embeddings - self._mean) / self._scale
        _, _, axes = np.linalg.svd(standard, full_matrices=False)
        self._axes = axes[:PROJECTED].T
        chosen = np.concatenate(
            [np.flatnonzero(labels == label)[:ANCHORS_PER_CLASS] for label in np.unique(labels)]
        )
        self._labels = labels[chosen]
        self._anchors = self._unit(embeddings[chosen])

    def _unit(self, embeddings: np.ndarray) -> np.ndarray:
        features = ((embeddings - self._mean) / self._scale) @ self._axes
        return features / (np.linalg.norm(features, axis=1, keepdims=True) + 1e-9)

    def classify(self, embeddings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """-> (labels by distance-weighted vote, mean cosine distance to the neighbours)."""
        distances = 1 - self._unit(embeddings) @ self._anchors.T
        nearest = np.argsort(distances, axis=1)[:, :NEIGHBOURS]
        near = np.take_along_axis(distances, nearest, axis=1)
        votes = np.zeros((len(embeddings), int(self._labels.max()) + 1))
        for column in range(NEIGHBOURS):
            np.add.at(
                votes,
                (np.arange(len(votes)), self._labels[nearest[:, column]]),
                1 / (near[:, column] + 1e-3),
            )
        return votes.argmax(axis=1), near.mean(axis=1)
