#!/usr/bin/env python3
"""Writes vectors.json: mode aes-gcm of docs/formats/encryption.md, made by another
implementation than the Go one (Python, pyca/cryptography). Run it in this folder.

Long plaintexts are given by their length n: byte i is (7 * i + 3) mod 251. Of files
longer than 200 bytes there is the SHA-256 only.
"""
import hashlib, hmac, json
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

CHUNK, TAG = 65536, 16


def hkdf(key, salt, info, length=32):
    prk = hmac.new(salt or bytes(32), key, hashlib.sha256).digest()
    out, block, n = b"", b"", 1
    while len(out) < length:
        block = hmac.new(prk, block + info + bytes([n]), hashlib.sha256).digest()
        out, n = out + block, n + 1
    return out[:length]


def chunks(plain):
    return [plain[i:i + CHUNK] for i in range(0, len(plain), CHUNK)] or [b""]


def seal(data_key, nonce, aad, plain, parts=None):
    cipher = AESGCM(hkdf(data_key, nonce, b"stella-export/v1\n" + aad))
    parts = parts if parts is not None else chunks(plain)
    out = [cipher.encrypt(n.to_bytes(11, "big") + bytes([n == len(parts) - 1]), part, aad) for n, part in enumerate(parts)]
    return nonce, out


def text(n):
    return bytes((7 * i + 3) % 251 for i in range(n))


DATA_KEY = bytes(range(32))
RUN, TENANT = "019a0000-0000-7000-8000-000000000001", "acme"
PATH = "data/raw/advisories-0000000000000000.jsonl.zst"
AAD = f"{RUN}:{PATH}".encode()
NONCE = bytes.fromhex("a0a1a2a3a4a5a6a7a8a9aaab")


def entry(name, file, plain=None, **more):
    e = {"name": name, "sha256": hashlib.sha256(file).hexdigest(), "bytes": len(file), **more}
    if len(file) <= 200:
        e["file"] = file.hex()
    if plain is not None:
        e["plainBytes"], e["plainSha256"] = len(plain), hashlib.sha256(plain).hexdigest()
    return e


accepted, refused = [], []
for n in (0, 1, 100, 65535, 65536, 65537, 131072, 200000):
    nonce, out = seal(DATA_KEY, NONCE, AAD, text(n))
    accepted.append(entry(f"{n} bytes", nonce + b"".join(out), text(n)))

# Each is made of the file of 200000 bytes, four chunks, unless it says otherwise.
nonce, c = seal(DATA_KEY, NONCE, AAD, text(200000))
join = lambda parts: nonce + b"".join(parts)
small = seal(DATA_KEY, NONCE, AAD, text(100))
# The recipe is how a second implementation makes the file that must be refused.
for name, recipe, file in (
    ("last chunk cut", "chunks 0 1 2", join(c[:3])),
    ("cut inside the last chunk", "without its last byte", join(c)[:-1]),
    ("two chunks swapped", "chunks 1 0 2 3", join([c[1], c[0], c[2], c[3]])),
    ("a chunk twice", "chunks 0 1 1 2 3", join([c[0], c[1], c[1], c[2], c[3]])),
    ("a chunk in another's place", "chunks 0 0 2 3", join([c[0], c[0], c[2], c[3]])),
    ("a chunk left out", "chunks 0 2 3", join([c[0], c[2], c[3]])),
    ("the last chunk twice", "chunks 0 1 2 3 3", join(c + [c[3]])),
    ("a byte behind", "and the byte 00", join(c) + b"\0"),
    ("an empty last chunk", "the plaintext of 65536 bytes as a full chunk and an empty last one",
     b"".join([NONCE] + seal(DATA_KEY, NONCE, AAD, None, [text(65536), b""])[1])),
    ("another run", "the file of 100 bytes of run 019a0000-0000-7000-8000-000000000002",
     b"".join([NONCE] + seal(DATA_KEY, NONCE, AAD.replace(b"000001:", b"000002:"), text(100))[1])),
    ("another path", "the file of 100 bytes at data/policy/pack.tar.gz",
     b"".join([NONCE] + seal(DATA_KEY, NONCE, f"{RUN}:data/policy/pack.tar.gz".encode(), text(100))[1])),
    ("another data key", "the file of 100 bytes, data key of 32 bytes 01",
     b"".join([NONCE] + seal(bytes([1] * 32), NONCE, AAD, text(100))[1])),
    ("another nonce", "the file of 100 bytes, the first bit of its nonce flipped",
     b"\x20" + (small[0] + b"".join(small[1]))[1:]),
    ("no chunk", "the nonce alone", NONCE),
    ("half a tag", "the nonce and 8 bytes", NONCE + bytes(8)),
):
    refused.append(entry(name, file, recipe=recipe))

recipients = ["age1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqq", "kms://keys/export"]
checks = [{"recipients": r, "keyCheck": hkdf(DATA_KEY, b"", "\n".join(["stella-export/v1/key", RUN, TENANT, *r]).encode()).hex()}
          for r in (recipients, recipients[:1])]

json.dump({"dataKey": DATA_KEY.hex(), "runId": RUN, "tenant": TENANT, "path": PATH, "nonce": NONCE.hex(),
           "fileKey": hkdf(DATA_KEY, NONCE, b"stella-export/v1\n" + AAD).hex(),
           "accepted": accepted, "refused": refused, "keyChecks": checks}, open("vectors.json", "w"), indent=2)
