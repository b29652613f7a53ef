"""A Kerberos realm of tests: a KDC on loopback, principals and their keytabs."""

import os
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from tests.kafka.child import Spawner
from tests.ports import PortClaim

REALM = "TESTS.EXAMPLE"


class Realm:
    """A KDC as a process, which ends with this one; a context manager.

    `environment` leads programs to it: those of MIT's library, and Java.
    """

    def __init__(self) -> None:
        self._temporary = TemporaryDirectory()
        self._directory = Path(self._temporary.name)
        self._spawner = Spawner()
        claim = PortClaim()
        port = claim.port
        claim.close()
        (self._directory / "krb5.conf").write_text(
            f"[libdefaults]\ndefault_realm = {REALM}\ndns_lookup_kdc = false\n"
            "dns_canonicalize_hostname = false\nrdns = false\nudp_preference_limit = 1\n"
            f"[realms]\n{REALM} = {{\n kdc = 127.0.0.1:{port}\n}}\n"
        )
        (self._directory / "kdc.conf").write_text(
            f"[kdcdefaults]\nkdc_listen = 127.0.0.1:{port}\nkdc_tcp_listen = 127.0.0.1:{port}\n"
            f"[realms]\n{REALM} = {{\n database_name = {self._directory}/principal\n"
            f" key_stash_file = {self._directory}/stash\n}}\n"
        )
        config = self._directory / "krb5.conf"
        self.environment = {
            "KRB5_CONFIG": str(config),
            "KRB5_KDC_PROFILE": str(self._directory / "kdc.conf"),
            "JAVA_TOOL_OPTIONS": f"-Djava.security.krb5.conf={config}",
        }
        self._run("kdb5_util", "create", "-s", "-r", REALM, "-P", "of-tests")
        kdc = [_found("krb5kdc"), "-n", "-r", REALM]
        env = ["env", *(f"{name}={value}" for name, value in self.environment.items())]
        self._process = self._spawner.start([*env, *kdc], self._directory / "kdc.log")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait()
        self._spawner.close()
        self._temporary.cleanup()

    def keytab(self, principal: str) -> str:
        """The path of a keytab of a principal that is made."""
        path = self._directory / f"{principal.replace('/', '-')}.keytab"
        self._run("kadmin.local", "-q", f"addprinc -randkey {principal}")
        self._run("kadmin.local", "-q", f"ktadd -k {path} {principal}")
        return str(path)

    def _run(self, *command: str) -> None:
        subprocess.run(
            [_found(command[0]), *command[1:]],
            env={**os.environ, **self.environment},
            check=True,
            capture_output=True,
        )


def is_installed() -> bool:
    """Whether a KDC can be started (Debian: krb5-kdc and krb5-admin-server)."""
    try:
        return bool(_found("krb5kdc") and _found("kadmin.local"))
    except FileNotFoundError:
        return False


def _found(command: str) -> str:
    path = f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin"
    found = shutil.which(command, path=path)
    if found is None:
        raise FileNotFoundError(command)
    return found
