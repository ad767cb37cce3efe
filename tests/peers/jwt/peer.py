"""An issuer on the library PyJWT: a key and a token for each algorithm that is named.

    peer.py ISSUER ALGORITHM ...

Prints a line of JSON for each: `alg`, `jwk` (the public key, or the secret of HS*) and `token` (of `alice`, good for an
hour, by that key).
"""

import json
import os
import sys
import time

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


def key(algorithm):
    """A new key: what signs, and what verifies."""
    if algorithm.startswith("HS"):
        secret = os.urandom(64)
        return secret, secret
    if algorithm in CURVES:
        private = ec.generate_private_key(CURVES[algorithm]())
    elif algorithm == "EdDSA":
        private = ed25519.Ed25519PrivateKey.generate()
    else:
        private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return private, private.public_key()


def main(issuer, algorithms):
    for algorithm in algorithms:
        private, public = key(algorithm)
        jwk = jwt.get_algorithm_by_name(algorithm).to_jwk(public, as_dict=True)
        jwk.update({"kid": algorithm.lower(), "alg": algorithm, "use": "sig"})
        now = int(time.time())
        claims = {"iss": issuer, "sub": "alice", "aud": ["shop", "bank"], "iat": now, "exp": now + 3600}
        token = jwt.encode(claims, private, algorithm=algorithm, headers={"kid": algorithm.lower()})
        print(json.dumps({"alg": algorithm, "jwk": jwk, "token": token}))


if len(sys.argv) < 3:
    sys.exit(__doc__)
main(sys.argv[1], sys.argv[2:])
