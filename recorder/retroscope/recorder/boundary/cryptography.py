"""The package `cryptography`: keys and certificates that it makes, and whatever else draws random numbers.

The OpenSSL inside seeds itself with more than the operating system's randomness (a cycle counter, addresses), so its
results are the inputs. Keys are recorded as they are, in the clear: whoever has the trace has them.
"""

import sys

from retroscope.recorder.boundary.declare import PASS, RESULT, Module, Type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_RUST = "cryptography.hazmat.bindings._rust"


def _encode_key(key: "Any") -> bytes:
    rust = sys.modules[_RUST]
    plain = sys.modules["cryptography.hazmat.primitives._serialization"].NoEncryption()
    data: bytes = key.private_bytes(rust.Encoding.DER, rust.PrivateFormat.PKCS8, plain)
    return data


def _decode_key(kind: type, value: "Any", self: "Any") -> "Any":
    return sys.modules[_RUST].openssl.keys.load_der_private_key(value, None, unsafe_skip_rsa_key_validation=True)


def _encode_document(document: "Any") -> bytes:
    data: bytes = document.public_bytes(sys.modules[_RUST].Encoding.DER)
    return data


def _decode_document(kind: type, value: "Any", self: "Any") -> "Any":
    x509 = sys.modules[_RUST].x509
    load = {"Certificate": x509.load_der_x509_certificate, "CertificateRevocationList": x509.load_der_x509_crl}
    return load.get(kind.__name__, x509.load_der_x509_csr)(value)


def _encode_parameters(parameters: "Any") -> bytes:
    rust = sys.modules[_RUST]
    data: bytes = parameters.parameter_bytes(rust.Encoding.DER, rust.ParameterFormat.PKCS3)
    return data


def _decode_parameters(kind: type, value: "Any", self: "Any") -> "Any":
    return sys.modules[_RUST].openssl.dh.from_der_parameters(value)


def _results(names: str) -> "dict[str, Any]":
    return dict.fromkeys(names.split(), RESULT)


def _private(name: str, methods: str = "") -> Type:
    return Type(name, methods=PASS, special=_results("private_bytes " + methods), handle=(_encode_key, _decode_key))


def _public(name: str, methods: str) -> Type:
    return Type(name, methods=PASS, special=_results(methods))


def _inside(path: str, functions: str, *types: Type) -> Module:
    return Module(_RUST, inside=path, functions=PASS, special=_results(functions), types=types, below=False)


MODULES = [
    _inside("openssl.ec", "generate_private_key", _private("ECPrivateKey", "sign")),
    _inside("openssl.rsa", "generate_private_key", _private("RSAPrivateKey", "sign"),
            _public("RSAPublicKey", "encrypt")),
    _inside("openssl.dsa", "", Type("DSAParameters", methods=PASS, special=_results("generate_private_key")),
            _private("DSAPrivateKey", "sign")),
    _inside("openssl.dh", "generate_parameters",
            Type("DHParameters", methods=PASS, special=_results("generate_private_key"),
                 handle=(_encode_parameters, _decode_parameters)),
            _private("DHPrivateKey")),
    *(_inside(f"openssl.{name.lower()}", "generate_key", _private(name + "PrivateKey"))
      for name in ("Ed25519", "Ed448", "X25519", "X448")),
    _inside("openssl.mlkem", "generate_mlkem768_key generate_mlkem1024_key",
            *(_private(f"MLKEM{n}PrivateKey") for n in (768, 1024)),
            *(_public(f"MLKEM{n}PublicKey", "encapsulate") for n in (768, 1024))),
    _inside("openssl.mldsa", "generate_mldsa44_key generate_mldsa65_key generate_mldsa87_key",
            *(_private(f"MLDSA{n}PrivateKey", "sign sign_mu") for n in (44, 65, 87))),
    _inside("openssl.aead", "", *(_public(name, "generate_key") for name in (
        "AESCCM", "AESGCM", "AESGCMSIV", "AESOCB3", "AESSIV", "ChaCha20Poly1305"))),
    _inside("openssl.hpke", "_encrypt_with_aad", _public("Suite", "encrypt")),
    _inside("x509", "create_x509_certificate create_x509_crl create_x509_csr",
            *(Type(name, methods=PASS, handle=(_encode_document, _decode_document))
              for name in ("Certificate", "CertificateRevocationList", "CertificateSigningRequest"))),
    _inside("pkcs12", "serialize_key_and_certificates serialize_java_truststore"),
    _inside("pkcs7", "encrypt_and_serialize sign_and_serialize"),
]  # fmt: skip
