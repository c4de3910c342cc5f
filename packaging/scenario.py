#!/usr/bin/python3
"""What an operator does with the package, step by step, on a system that systemd has booted (packaging/test-install)."""

import glob
import http.client
import http.server
import os
import pwd
import signal
import subprocess
import sys
import threading
import time

EDGE = ("127.0.0.1", 8080)
CONF = "/etc/doorward/doorward.toml"
STATE = "/var/lib/doorward"
FIRST, SECOND = sorted(glob.glob("/test/*.deb"))
DEAD = "1|" + "d" * 40
ALIVE = "2|" + "a" * 40


class Shop(http.server.BaseHTTPRequestHandler):
    """A shop that never revokes anything."""

    protocol_version = "HTTP/1.1"

    def answer(self):
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        body = b'{"message":"Logged out successfully."}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_POST = answer

    def log_message(self, *_):
        pass


class ManyAtOnce(http.server.ThreadingHTTPServer):
    request_queue_size = 128
    daemon_threads = True

    def handle_error(self, *_):
        pass  # a process that was ended has left its connections


def run(*command, check=True):
    done = subprocess.run(command, capture_output=True, text=True)
    if check and done.returncode != 0:
        raise AssertionError(f"{command} exited with {done.returncode}: {done.stdout}{done.stderr}")
    return done


def shown(key, unit="doorward.service"):
    return run("systemctl", "show", "--value", "-p", key, unit).stdout.strip()


def ask(token, path="/api/v1/customer/get", method="GET", patience=60):
    connection = http.client.HTTPConnection(*EDGE, timeout=patience)
    try:
        connection.request(method, path, headers={"Authorization": "Bearer " + token})
        return connection.getresponse().status
    finally:
        connection.close()


def until(condition, what, patience=60):
    end = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < end, f"not within {patience} s: {what}"
        time.sleep(0.05)


def is_listening():
    return shown("ActiveState", "doorward.socket") == "active"


def journal_file():
    found = os.stat(f"{STATE}/journal.redb")
    return found.st_ino, pwd.getpwuid(found.st_uid).pw_name


def append(text):
    with open(CONF, encoding="utf-8") as file:
        former = file.read()
    with open(CONF, "w", encoding="utf-8") as file:
        file.write(text + former)
    return lambda: open(CONF, "w", encoding="utf-8").write(former)


class Load:
    """Customers, each request with a connection of its own; half of them have logged out."""

    def __init__(self, customers=8):
        self.over, self.answered, self.failed, self.longest = False, 0, [], 0.0
        self.threads = [threading.Thread(target=self.shop, args=(n,)) for n in range(customers)]
        for thread in self.threads:
            thread.start()

    def shop(self, number):
        token, wanted = (ALIVE, 200) if number % 2 else (DEAD, 401)
        while not self.over:
            begin = time.monotonic()
            try:
                status = ask(token)
                if status != wanted:
                    self.failed.append(status)
            except OSError as error:
                self.failed.append(repr(error))
            self.answered += 1
            self.longest = max(self.longest, time.monotonic() - begin)

    def end(self):
        self.over = True
        for thread in self.threads:
            thread.join()
        told = f"{self.answered} requests, {len(self.failed)} failed, longest wait {self.longest:.2f} s"
        assert not self.failed, f"{told}: {self.failed[:5]}"
        return told


def waits(token=ALIVE):
    """A customer who waits for an answer as long as it takes."""
    got = []

    def wait():
        begin = time.monotonic()
        try:
            got.append((ask(token, patience=180), time.monotonic() - begin))
        except OSError as error:
            got.append((repr(error), time.monotonic() - begin))

    thread = threading.Thread(target=wait)
    thread.start()

    def answer():
        thread.join()
        status, time_s = got[0]
        assert status == 200, got
        return f"a customer who waited {time_s:.1f} s got {status}"

    return answer


def install():
    told = run("dpkg", "-i", FIRST).stdout
    assert "installed and not started" in told, told
    assert pwd.getpwnam("doorward").pw_shell == "/usr/sbin/nologin"
    assert os.stat(STATE).st_mode & 0o777 == 0o700
    assert os.stat("/etc/doorward/keys").st_mode & 0o777 == 0o750
    assert journal_file()[1] == "doorward"
    assert shown("ActiveState") == "inactive" and not is_listening()
    assert "doorward-check" in run("man", "-P", "cat", "doorward").stdout
    run("doorward", "check")
    return "a journal, no service yet, and check is content with the configuration as it comes"


def start():
    run("systemctl", "enable", "--now", "doorward")
    assert ask(ALIVE) == 200
    assert run("runuser", "-u", "doorward", "--", "doorward", "healthcheck").stdout == "ready\n"
    return shown("StatusText")


def log_out():
    assert ask(DEAD) == 200
    assert ask(DEAD, "/api/v1/customer/logout", "POST") == 200
    assert ask(DEAD) == 401
    return "the token that was logged out gets 401, the other one 200"


def upgrade():
    journal, process, load = journal_file(), shown("MainPID"), Load()
    until(lambda: load.answered > 200, "load")
    told = run("dpkg", "-i", SECOND)
    until(lambda: shown("MainPID") not in (process, "0"), "a new process")
    so_far = load.answered
    until(lambda: load.answered > so_far + 200, "load")
    assert journal_file() == journal, "another journal"
    assert "not started" not in told.stdout
    return load.end()


def upgrade_with_a_fault():
    process, mend = shown("MainPID"), append("nonsense = 1\n")
    told = run("dpkg", "-i", "--force-confold", FIRST)
    assert "the former process keeps serving" in told.stderr, told
    assert shown("MainPID") == process and ask(ALIVE) == 200
    mend()
    run("systemctl", "restart", "doorward")
    assert ask(DEAD) == 401
    return "the former process served on"


def restarts():
    load = Load()
    for _ in range(4):
        so_far = load.answered
        until(lambda: load.answered > so_far + 200, "load")
        run("systemctl", "restart", "doorward")
    so_far = load.answered
    until(lambda: load.answered > so_far + 200, "load")
    return "4 restarts, " + load.end()


def watchdog():
    process = int(shown("MainPID"))
    os.kill(process, signal.SIGSTOP)
    answer = waits()
    until(lambda: shown("MainPID") not in (str(process), "0"), "a new process", 90)
    return answer()


def crash_loop():
    before = int(shown("NRestarts"))
    folder = "/run/systemd/system/doorward.service.d"
    os.makedirs(folder)
    with open(f"{folder}/crash.conf", "w", encoding="utf-8") as file:
        file.write("[Service]\nExecStart=\nExecStart=/bin/false\n")
    run("systemctl", "daemon-reload")
    os.kill(int(shown("MainPID")), signal.SIGKILL)
    answer = waits()
    until(lambda: int(shown("NRestarts")) >= before + 6, "six starts", 120)
    tries = int(shown("NRestarts")) - before
    assert is_listening(), "the socket is gone"
    os.remove(f"{folder}/crash.conf")
    os.rmdir(folder)
    run("systemctl", "daemon-reload")
    return f"{tries} starts failed, the socket stayed; " + answer()


def faulty_configuration():
    mend = append("nonsense = 1\n")
    failed = run("systemctl", "restart", "doorward", check=False)
    assert failed.returncode != 0
    until(lambda: shown("ActiveState") == "failed", "the end")
    assert shown("ExecMainStatus") == "78"
    starts = lambda: run("journalctl", "-u", "doorward.service", "-o", "cat").stdout.count("Starting doorward.service")
    before = starts()
    time.sleep(12)
    assert starts() == before, "it was tried again without a reason"
    answer = waits()
    time.sleep(15)
    tries = starts() - before
    assert 1 <= tries <= 3, f"{tries} starts in 15 s"
    assert is_listening(), "the socket is gone"
    mend()
    return f"{tries} starts in 15 s with a customer waiting, none without; " + answer()


def remove():
    told = run("dpkg", "-r", "doorward").stdout
    assert "/var/lib/doorward stays" in told, told
    assert journal_file() and os.path.exists(CONF)
    try:
        ask(ALIVE)
        raise AssertionError("it still serves")
    except ConnectionRefusedError:
        pass
    before = journal_file()
    run("dpkg", "-i", SECOND)
    assert journal_file() == before, "another journal"
    run("systemctl", "start", "doorward")
    assert ask(DEAD) == 401, "forgotten"
    run("dpkg", "-r", "doorward")
    return "the state stayed, and the token was refused after the next installation"


def purge():
    told = run("dpkg", "-P", "doorward").stdout
    assert "deleting /var/lib/doorward" in told, told
    left = [path for path in (STATE, "/etc/doorward", "/var/log/doorward") if os.path.exists(path)]
    left += glob.glob("/etc/systemd/system/*/doorward.*")
    assert not left, left
    return "it said so, and left nothing"


STEPS = [install, start, log_out, upgrade, upgrade_with_a_fault, restarts, watchdog, crash_loop, faulty_configuration, remove, purge]


def main():
    shop = ManyAtOnce(("127.0.0.1", 8000), Shop)
    threading.Thread(target=shop.serve_forever, daemon=True).start()
    print(run("systemctl", "--version").stdout.splitlines()[0])
    for step in STEPS:
        print(f"{step.__name__.replace('_', ' ')}: {step()}")
    print("all steps passed")


try:
    main()
except BaseException as error:  # the system is switched off afterwards, so this is all that is seen
    print(f"FAILED: {error!r}")
    raise
finally:
    sys.stdout.flush()
    os._exit(0)
