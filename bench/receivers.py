# SPDX-License-Identifier: BSD-2-Clause
"""Who receives what the generator sends, over a pair of veth interfaces cable0 and cable1."""
import os
import re
import signal
import subprocess
import sys
import time

import report

SECONDS = float(os.environ.get("MAPI_BENCH_LIVE_SECONDS", "1.5"))
STEPS = 5           # of a bisection, after one trial at full speed
CPU_RATES = (100000, 500000, 1000000)  # where CPU time is compared
FULL = 0.95         # of such a rate; less, and it was another rate
BUFFER_KIB = 32768  # of libpcap: as much as our ring has


def one_matches(first, n):
    """N filters, of which the frames match the @first."""
    kinds = [lambda i: f"tcp port {81 + i}", lambda i: f"udp port {1024 + i}",
             lambda i: f"host 10.1.2.{i}", lambda i: f"src net 172.16.{i}.0/24",
             lambda i: f"tcp dst port {443 + i} and net 10.{i}.0.0/16"]
    return [first] + [kinds[i % len(kinds)](i) for i in range(n - 1)]


class Generator:
    def __init__(self, path, cpu, *args):
        self.process = subprocess.Popen([path, "cable1", *args], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                        preexec_fn=lambda: os.sched_setaffinity(0, {cpu}))
        if self.process.stdout.readline().strip() != "ready":
            report.skip(self.process.stderr.read().strip() or "the generator does not start")

    def start(self, pps, seconds):
        self.process.stdin.write(f"{pps} {seconds}\n")
        self.process.stdin.flush()

    def finish(self):
        """(packets, seconds)"""
        sent, seconds = self.process.stdout.readline().split()
        return int(sent), float(seconds)

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Reader:
    """A program that prints its counters upon SIGUSR1."""

    def __init__(self, argv, env, pattern=r"^(\d+) (\d+)$", ready="ready", stream="stdout"):
        self.pattern = re.compile(pattern)
        self.process = subprocess.Popen(argv, env=env, text=True, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE if stream == "stdout" else
                                        subprocess.DEVNULL,
                                        stderr=subprocess.PIPE if stream == "stderr" else None)
        self.stream = getattr(self.process, stream)
        for line in self.stream:
            if ready in line:
                self.told = line.strip()
                return
        raise RuntimeError(f"{argv[0]} does not start")

    def ask(self):
        """(counted, lost) since it began"""
        self.process.send_signal(signal.SIGUSR1)
        for line in self.stream:
            found = self.pattern.search(line)
            if found:
                return int(found.group(1)), int(found.group(2))
        raise RuntimeError(f"{self.process.args[0]} has ended")

    def stop(self):
        self.process.terminate()
        self.stream.close()
        self.process.wait()


class Row:
    """Some programs that receive at the same time. The first one's filter matches."""

    def __init__(self, bench, name, filters):
        self.bench, self.name, self.filters = bench, name, filters
        self.readers, self.daemon, self.late = [], None, False
        self.rates, self.limited, self.cpu = [], [], {}

    def start(self):
        try:
            for text in self.filters:
                self.readers.append(self.reader(text))
        except BaseException:
            self.stop()
            raise

    def stop(self):
        for reader in self.readers:
            reader.stop()
        self.readers = []

    def pids(self):
        return [reader.process.pid for reader in self.readers]

    def cpu_ns(self):
        total = 0
        for pid in self.pids():
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as file:
                    total += int(file.read().split()[0])
        return total

    def counters(self):
        """(counted by the first one, lost by all)"""
        asked = [reader.ask() for reader in self.readers]
        return asked[0][0], sum(lost for _, lost in asked)

    def trial(self, pps):
        """(packets sent, seconds, counted, lost, CPU ns); all is counted when it returns."""
        counted, lost = self.counters()
        cpu = self.cpu_ns()
        self.bench.generator.start(pps, SECONDS)
        sent, seconds = self.bench.generator.finish()
        end = time.monotonic() + 1
        while True:
            now = self.counters()
            done = now[0] - counted + now[1] - lost
            if done >= sent or self.late or time.monotonic() > end:
                break
            time.sleep(0.01)
        lost = now[1] - lost
        if not self.late and not lost:
            lost = max(sent - (now[0] - counted), 0)
        return sent, seconds, now[0] - counted, lost, self.cpu_ns() - cpu

    def highest_rate(self):
        sent, seconds, _, lost, _ = self.trial(0)
        full = sent / seconds
        self.limited.append(lost == 0)
        if lost == 0:
            return full
        low, high = 0.0, full
        rate = full * max(1 - lost / sent, 0.05) if len(self.readers) == 1 else full / 2
        for _ in range(STEPS):
            sent, seconds, _, lost, _ = self.trial(rate)
            if lost:
                high = min(high, rate)
            else:
                low = max(low, sent / seconds)
            rate = (low + high) / 2 if low else high / 2
        return low

    def measure(self, search, cpu_rates):
        self.start()
        try:
            self.trial(CPU_RATES[0])  # caches
            if search:
                self.rates.append(self.highest_rate())
            for pps in cpu_rates:
                sent, seconds, counted, lost, cpu = self.trial(pps)
                if not lost and counted >= sent and sent >= FULL * pps * seconds:
                    self.cpu.setdefault(pps, []).append(cpu / sent)
        finally:
            self.stop()


class NobodyRow(Row):
    """What the generator and the kernel's half reach by themselves."""

    def __init__(self, bench):
        super().__init__(bench, "nobody listens", [])
        self.late = True

    def counters(self):
        return 0, 0


class PcapRow(Row):
    def reader(self, text):
        return Reader([self.bench.tool("live_pcap"), "cable0", text, str(BUFFER_KIB)], None)


class TcpdumpRow(Row):
    def __init__(self, *args):
        super().__init__(*args)
        self.late = True  # it hears of packets a second later; what was dropped, at once

    def reader(self, text):
        return Reader(["tcpdump", "-i", "cable0", "-n", "-Z", "root", "-w", "/dev/null", text], None,
                      r"(\d+) packets? captured.* (\d+) packets? dropped by kernel", "listening",
                      "stderr")


class MapiRow(Row):
    driver = ""  # lines of its configuration

    def start(self):
        self.daemon = self.bench.daemon(self.driver)
        super().start()
        self.told = self.readers[0].told

    def stop(self):
        super().stop()
        self.daemon.terminate()
        self.daemon.wait()

    def pids(self):
        with open(f"/proc/{self.daemon.pid}/task/{self.daemon.pid}/children",
                  encoding="ascii") as file:
            return super().pids() + [self.daemon.pid] + [int(pid) for pid in file.read().split()]

    def reader(self, text):
        return Reader([self.bench.tool("live_mapi"), "cable0", text], self.bench.env)


class Host:
    """Where a daemon runs, with cable0 as its device. @driver: further lines of that section."""

    def __init__(self, build, folder, driver=""):
        self.build, self.folder = build, folder
        self.env = dict(os.environ)
        self.env.setdefault("LD_LIBRARY_PATH", os.path.join(build, "src", "client"))
        self.env["MAPI_SOCKET"] = os.path.join(folder, "run", "mapid.sock")
        os.makedirs(os.path.join(folder, "run"), exist_ok=True)
        os.chmod(folder, 0o755)
        self.config = os.path.join(folder, "mapi.conf")
        self.driver = driver

    def configure(self, driver=""):
        with open(self.config, "w", encoding="ascii") as out:
            out.write(f"socket_path={self.folder}/run/mapid.sock\n"
                      f"read_only_socket_path={self.folder}/run/mapid-read.sock\n"
                      "user=nobody\ngroup=root\n"
                      f"[driver]\ndevice=cable0\n{self.driver}{driver}")

    def tool(self, name):
        return os.path.join(self.build, "bench", name)

    def daemon(self, driver=""):
        """@driver: lines for this one"""
        self.configure(driver)
        mapid = os.path.join(self.build, "src", "sensor", "mapid")
        log = open(os.path.join(self.folder, "daemon.log"), "a", encoding="utf-8")
        daemon = subprocess.Popen([mapid, "-f", self.config], env=self.env, stdout=log, stderr=log)
        log.close()
        mapi = os.path.join(self.build, "src", "tool", "mapi", "mapi")
        for _ in range(500):
            if subprocess.run([mapi, "flows"], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL, check=False).returncode == 0:
                return daemon
            time.sleep(0.01)
        daemon.kill()
        report.skip("the daemon does not serve: " +
                    open(os.path.join(self.folder, "daemon.log"), encoding="utf-8").read())


class Bench(Host):
    """... and a generator at the other end of the cable, on another CPU than all receivers.
    @receiver: arguments of the generator."""

    def __init__(self, build, folder, driver="", receiver=("cable0",)):
        cpus = sorted(os.sched_getaffinity(0))
        super().__init__(build, folder, f"cpus={cpus[1]}\n" + driver)
        self.generator = Generator(self.tool("live_generator"), cpus[0], *receiver)
        os.sched_setaffinity(0, {cpus[1]})  # the programs inherit it


def setup():
    if os.geteuid() != 0:
        report.skip("needs root for a network namespace of its own")
    if len(os.sched_getaffinity(0)) < 2:
        report.skip("needs two CPUs")
    if "MAPI_BENCH_INSIDE" not in os.environ:
        if subprocess.run(["unshare", "-n", "true"], check=False).returncode != 0:
            report.skip("no network namespaces here")
        os.environ["MAPI_BENCH_INSIDE"] = "1"
        os.execvp("unshare", ["unshare", "-n", sys.executable] + sys.argv)
    for name in ("all", "default"):
        path = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
        if os.path.exists(path):  # the kernel itself shall say nothing
            with open(path, "w", encoding="ascii") as out:
                out.write("1")
    for command in ("link set lo up", "link add cable0 type veth peer name cable1",
                    "link set cable0 up", "link set cable1 up"):
        if subprocess.run(["ip"] + command.split(), check=False).returncode != 0:
            report.skip("no veth interfaces here")
