# SPDX-License-Identifier: Apache-2.0
"""QUIC Initial packets of a client (RFC 9001), with libcrypto's AES by way of ctypes."""
import ctypes
import hashlib
import hmac
import ssl
import struct

_crypto = ctypes.CDLL("libcrypto.so.3")
for _name in ("EVP_CIPHER_CTX_new", "EVP_aes_128_ecb", "EVP_aes_128_gcm"):
    getattr(_crypto, _name).restype = ctypes.c_void_p

SALT = bytes.fromhex("38762cf7f55934b34d179ae6a4c80cadccbb7f0a")
GET_TAG = 16


def _encrypt(cipher, key, nonce, aad, data):
    context = ctypes.c_void_p(_crypto.EVP_CIPHER_CTX_new())
    out, length, tag = ctypes.create_string_buffer(len(data) + 32), ctypes.c_int(), ctypes.create_string_buffer(16)
    assert _crypto.EVP_EncryptInit_ex(context, ctypes.c_void_p(cipher), None, key, nonce)
    if aad is not None:
        assert _crypto.EVP_EncryptUpdate(context, None, ctypes.byref(length), aad, len(aad))
    assert _crypto.EVP_EncryptUpdate(context, out, ctypes.byref(length), data, len(data))
    if aad is not None:
        last = ctypes.create_string_buffer(16)
        assert _crypto.EVP_EncryptFinal_ex(context, last, ctypes.byref(length))
        assert _crypto.EVP_CIPHER_CTX_ctrl(context, GET_TAG, 16, tag)
    _crypto.EVP_CIPHER_CTX_free(context)
    return out.raw[:len(data)] + (tag.raw if aad is not None else b"")


def _expand(secret, label, length):
    info = struct.pack("!HB", length, len(label) + 6) + b"tls13 " + label + b"\0\1"
    return hmac.new(secret, info, hashlib.sha256).digest()[:length]


def client_hello(name):
    """The handshake message of a TLS client for this name."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        context.wrap_bio(incoming, outgoing, server_hostname=name).do_handshake()
    except ssl.SSLWantReadError:
        pass
    return outgoing.read()[5:]


def initial(cid, number, off, data):
    """A datagram of 1200 bytes with a piece of the message."""
    secret = _expand(hmac.new(SALT, cid, hashlib.sha256).digest(), b"client in", 32)
    key, iv, hp = (_expand(secret, b"quic " + what, n) for what, n in ((b"key", 16), (b"iv", 12), (b"hp", 16)))
    frame = b"\6" + struct.pack("!HH", 0x4000 | off, 0x4000 | len(data)) + data
    head = bytearray(b"\xc0\0\0\0\1" + bytes([len(cid)]) + cid + b"\0\0")
    body = frame.ljust(1200 - len(head) - 3 - 16, b"\0")
    head += struct.pack("!HB", 0x4000 | (1 + len(body) + 16), number)
    nonce = iv[:-1] + bytes([iv[-1] ^ number])
    sealed = _encrypt(_crypto.EVP_aes_128_gcm(), key, nonce, bytes(head), body)
    mask = _encrypt(_crypto.EVP_aes_128_ecb(), hp, None, None, sealed[3:19])
    head[0] ^= mask[0] & 15
    head[-1] ^= mask[1]
    return bytes(head) + sealed
