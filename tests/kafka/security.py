"""A secured broker: SASL and TLS listeners, users, access control, certificates."""

import subprocess
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from tests.kafka.cluster import KafkaCluster
from tests.kafka.jars import command
from tests.kafka.tools import QUICK_START

LISTENERS = {
    "SASL": "SASL_PLAINTEXT",
    "SASL_TLS": "SASL_SSL",
    "SHORT": "SASL_PLAINTEXT",
    "TLS": "SSL",
    "MTLS": "SSL",
}
"""Listeners beside the plain one, and their security protocols; MTLS asks for a certificate, SHORT
ends a session after `SHORT_SESSION` seconds unless it is authenticated again."""

SHORT_SESSION = 2.0

ADMIN = "admin"
"""A user, by password or certificate, who may do everything."""

LIMITED = "limited"
"""A user by password who may do nothing until a test gives access."""

PASSWORD = "a-secret-of-tests"
"""Of every user."""


class SecuredKafka:
    """A broker with the listeners of `LISTENERS`; a context manager.

    SASL listeners take PLAIN, SCRAM-SHA-512 and unsigned OAUTHBEARER tokens. Access control is on; at the plain listener
    everybody may do everything.

    Raises:
        MissingToolError, UnresolvedJarsError: there is no Java, or no jars.
        BrokerError: the broker did not come up.
    """

    def __init__(self) -> None:
        with ExitStack() as resources:
            self._directory = Path(resources.enter_context(TemporaryDirectory()))
            self._make_certificates()
            cluster = KafkaCluster(
                listeners=LISTENERS,
                settings=self._settings(),
                format_args=[
                    argument
                    for user in (ADMIN, LIMITED)
                    for argument in (
                        "--add-scram",
                        f"SCRAM-SHA-512=[name={user},password={PASSWORD}]",
                    )
                ],
            )
            self.cluster = resources.enter_context(cluster)
            self._resources = resources.pop_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    @property
    def untrusted_ca(self) -> str:
        """The path of a certificate (PEM) that did not sign the broker's."""
        return str(self._directory / f"{ADMIN}.pem")

    def client(
        self, listener: str, *, user: str = ADMIN, mechanism: str = "SCRAM-SHA-512"
    ) -> dict[str, str]:
        """librdkafka's properties of a client that gets in at a listener of `LISTENERS`."""
        properties = {
            "bootstrap.servers": self.cluster.bootstrap_of(listener),
            "security.protocol": LISTENERS[listener],
        }
        if LISTENERS[listener].startswith("SASL"):
            properties |= {
                "sasl.mechanism": mechanism,
                "sasl.username": user,
                "sasl.password": PASSWORD,
            }
        if listener.endswith("TLS"):
            properties["ssl.ca.location"] = str(self._directory / "broker.pem")
        if listener == "MTLS":
            properties |= {
                "ssl.keystore.location": str(self._directory / f"{ADMIN}.p12"),
                "ssl.keystore.password": PASSWORD,
            }
        return properties

    def _make_certificates(self) -> None:
        # Each signs itself: whom the other side shall trust, its certificate is given to.
        for name in ("broker", ADMIN):
            subject = ("-dname", f"CN={name}", "-ext", "san=ip:127.0.0.1")
            algorithm = ("-keyalg", "EC", "-groupname", "secp256r1")
            self._keytool("-genkeypair", f"{name}.p12", name, *subject, *algorithm)
            self._keytool("-exportcert", f"{name}.p12", name, "-rfc", "-file", f"{name}.pem")
        self._keytool("-importcert", "trusted.p12", ADMIN, "-noprompt", "-file", f"{ADMIN}.pem")

    def _keytool(self, what: str, store: str, alias: str, *args: str) -> None:
        keytool = command("keytool", "openjdk-17-jre-headless")
        quick = [f"-J{option}" for option in QUICK_START]
        in_store = ("-keystore", store, "-storetype", "PKCS12", "-storepass", PASSWORD)
        subprocess.run(
            [keytool, *quick, what, *in_store, "-alias", alias, *args],
            cwd=self._directory,
            check=True,
            capture_output=True,
        )

    def _settings(self) -> dict[str, str]:
        login = "org.apache.kafka.common.security"
        users = " ".join(f'user_{user}="{PASSWORD}"' for user in (ADMIN, LIMITED))
        settings = {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            # Broker and controllers talk over plain listeners, where all are ANONYMOUS.
            "super.users": f"User:ANONYMOUS;User:{ADMIN}",
            "sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-512,OAUTHBEARER",
            "listener.name.short.sasl.enabled.mechanisms": "PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
            "ssl.principal.mapping.rules": "RULE:^CN=(.*)$/$1/",
            "ssl.keystore.type": "PKCS12",
            "ssl.keystore.location": str(self._directory / "broker.p12"),
            "ssl.keystore.password": PASSWORD,
            "ssl.truststore.type": "PKCS12",
            "ssl.truststore.location": str(self._directory / "trusted.p12"),
            "ssl.truststore.password": PASSWORD,
            "listener.name.mtls.ssl.client.auth": "required",
        }
        for mechanism in ("plain", "scram-sha-512"):
            setting = f"listener.name.short.{mechanism}.connections.max.reauth.ms"
            settings[setting] = str(int(SHORT_SESSION * 1000))
        for listener in ("sasl", "sasl_tls", "short"):
            prefix = f"listener.name.{listener}"
            settings[f"{prefix}.plain.sasl.jaas.config"] = (
                f"{login}.plain.PlainLoginModule required {users};"
            )
            settings[f"{prefix}.scram-sha-512.sasl.jaas.config"] = (
                f"{login}.scram.ScramLoginModule required;"
            )
            settings[f"{prefix}.scram-sha-256.sasl.jaas.config"] = (
                f"{login}.scram.ScramLoginModule required;"
            )
            # Without a key set to check signatures by, the broker takes unsigned tokens.
            settings[f"{prefix}.oauthbearer.sasl.jaas.config"] = (
                f"{login}.oauthbearer.OAuthBearerLoginModule required "
                f'unsecuredLoginStringClaim_sub="{ADMIN}";'
            )
        return settings
