"""What the benchmark connects to: the servers, and the products in front of them, each with its processes.

Every target offers the same accounts and tables on a port for reads and one for writes, in plain text and,
where there is one, over TLS; what it starts ends with `stop`. All TLS is of one kind: version, cipher suite,
certificate and key are the same wherever it ends, so that only the place of the work differs.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from identity import Identity

from cluster import (
    APP_PASSWORD,
    APP_USER,
    MONITOR_PASSWORD,
    MONITOR_USER,
    SERVICE_PASSWORD,
    SERVICE_USER,
    Cluster,
    ClusterError,
    end,
    free_port,
    spawn,
    tail,
    wait_until,
)

COMMAND = Path(sys.executable).with_name("fairlead")
# The first choice of every OpenSSL, so that servers that cannot be told take it as well.
CIPHER = "TLS_AES_256_GCM_SHA384"


def family(pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                text = Path(f"/proc/{entry}/stat").read_text()
            except OSError:
                continue
            children.setdefault(int(text.rsplit(")", 1)[1].split()[1]), []).append(int(entry))
    found = [pid]
    for member in found:
        found.extend(children.get(member, []))
    return found


class Target:
    """Something to connect to: a port for reads, one for writes, and the process whose CPU counts.

    `kinds`: takes part in cases in plain text (False), over TLS (True). `says`: its name in the table of TLS.
    """

    name = ""
    says = ""
    kinds: tuple[bool, ...] = (False, True)

    def __init__(self, read_port: int, write_port: int) -> None:
        self.read_port = read_port
        self.write_port = write_port
        self.process: subprocess.Popen[bytes] | None = None

    def port(self, *, writes: bool = False, tls: bool = False) -> int:
        """Where a case has to connect to."""
        return self.write_port if writes else self.read_port

    def pids(self) -> list[int]:
        return family(self.process.pid) if self.process is not None else []

    def stop(self) -> None:
        end(self.process)
        self.process = None


class Direct(Target):
    name = "direct"
    says = "direct"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(cluster.replicas[0].port, cluster.primary.port)


class HAProxy(Target):
    name = "haproxy"
    says = "HAProxy passes TLS through"

    def __init__(self, cluster: Cluster) -> None:
        super().__init__(port := free_port(14301), free_port(port + 1))
        config = cluster.directory / "haproxy.cfg"
        servers = "\n".join(f"  server {s.name} 127.0.0.1:{s.port}" for s in cluster.replicas)
        config.write_text(
            "global\n  nbthread 1\n  maxconn 4000\n"
            "defaults\n  mode tcp\n  timeout connect 5s\n  timeout client 1h\n  timeout server 1h\n"
            f"listen reads\n  bind 127.0.0.1:{self.read_port}\n  balance leastconn\n{servers}\n"
            f"listen writes\n  bind 127.0.0.1:{self.write_port}\n"
            f"  server primary 127.0.0.1:{cluster.primary.port}\n"
        )
        output = cluster.directory / "haproxy.out"
        self.process = spawn(["haproxy", "-db", "-f", str(config)], output)
        wait_for_port(self, output)


class Fairlead(Target):
    """`lazy_port` belongs to a service that opens server connections only when they are needed.

    With an identity there is a listener with TLS too.
    """

    name = "fairlead"
    says = "Fairlead, plain to the servers"
    server_params = ""
    # Apart from the other's: that one's REST API may not be listening yet when ports are looked for.
    first_port = 14401

    def __init__(self, cluster: Cluster, threads: int = 1, identity: Identity | None = None) -> None:
        port = free_port(self.first_port)
        super().__init__(port, port)
        self.servers = [server.name for server in cluster.servers]
        self.rest_port = free_port(port + 1)
        self.lazy_port = free_port(self.rest_port + 1)
        self.tls_port = free_port(self.lazy_port + 1)
        self.identity = identity
        stem = f"{self.name}{threads}"
        config = cluster.directory / f"{stem}.cnf"
        config.write_text(self._config(cluster, threads))
        base = cluster.directory / stem
        output = cluster.directory / f"{stem}.out"
        self.process = spawn([str(COMMAND), "serve", "--config", str(config), "--basedir", str(base)], output)
        wait_for_port(self, output, base / "var/log/maxscale/maxscale.log")

    def _config(self, cluster: Cluster, threads: int) -> str:
        names = ",".join(self.servers)
        account = f"user={SERVICE_USER}\npassword={SERVICE_PASSWORD}\n"
        service = f"router=readwritesplit\nservers={names}\n{account}"
        listener = "type=listener\naddress=127.0.0.1\n"
        parts = [
            f"[fairlead]\nthreads={threads}\nadmin_host=127.0.0.1\nadmin_port={self.rest_port}\n"
            "admin_secure_gui=false\n",
            *(
                f"[{s.name}]\ntype=server\naddress=127.0.0.1\nport={s.port}\n{self.server_params}"
                for s in cluster.servers
            ),
            f"[Monitor]\ntype=monitor\nmodule=mariadbmon\nservers={names}\nuser={MONITOR_USER}\n"
            f"password={MONITOR_PASSWORD}\nmonitor_interval=2000ms\n",
            f"[Split]\ntype=service\n{service}",
            f"[Listener]\n{listener}service=Split\nport={self.read_port}\n",
            f"[Lazy]\ntype=service\n{service}lazy_connect=true\n",
            f"[LazyListener]\n{listener}service=Lazy\nport={self.lazy_port}\n",
        ]
        if self.identity is not None:
            parts.append(
                f"[TlsListener]\n{listener}service=Split\nport={self.tls_port}\nssl=true\n"
                f"ssl_version=TLSv1.3\nssl_cert={self.identity.cert}\nssl_key={self.identity.key}\n"
            )
        return "\n".join(parts)

    def port(self, *, writes: bool = False, tls: bool = False) -> int:
        return self.tls_port if tls else super().port(writes=writes)

    def keep_connections(self, keep: bool) -> None:
        """Switch the pools of the servers on or off."""
        values = ("persistpoolmax=100", "persistmaxtime=300s") if keep else ("persistpoolmax=0",)
        for name in self.servers:
            words = [str(COMMAND), "ctl", "-h", f"127.0.0.1:{self.rest_port}", "alter", "server", name]
            subprocess.run([*words, *values], check=True, capture_output=True, timeout=30)


class FairleadTls(Fairlead):
    """The same with TLS to the servers too; only for cases over TLS."""

    name = "fairlead-tls"
    says = "Fairlead, TLS to the servers"
    kinds = (True,)
    first_port = 14501
    server_params = "ssl=true\nssl_version=TLSv1.3\n"

    def __init__(self, cluster: Cluster, identity: Identity) -> None:
        super().__init__(cluster, identity=identity)
        found = ask(self.read_port, "SHOW STATUS LIKE 'Ssl_cipher'").split()[-1]
        if found != CIPHER:
            raise ClusterError(f"the servers speak {found} with Fairlead instead of {CIPHER}")


def ask(port: int, statement: str) -> str:
    """The answer to a statement, from the client program; empty if there is none."""
    words = ["mariadb", "--no-defaults", "-h127.0.0.1", f"-P{port}", f"-u{APP_USER}", f"-p{APP_PASSWORD}"]
    done = subprocess.run([*words, "-N", "-e", statement], capture_output=True, text=True, timeout=20)
    return done.stdout if done.returncode == 0 else ""


def wait_for_port(target: Target, *logs: Path) -> None:
    """Wait until a query through the target is answered."""

    def answers() -> bool:
        if target.process is not None and target.process.poll() is not None:
            raise ClusterError(
                f"{target.name} ended:\n" + "\n".join(tail(log) for log in logs if log.exists())
            )
        return bool(ask(target.read_port, "SELECT 1"))

    wait_until(answers, f"{target.name} answers", 30, 0.2)
