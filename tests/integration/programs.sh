#!/bin/bash
# Programs of a Debian system at their ordinary work, under policies that policygen made from their files alone: nothing is
# refused. And the shim is at work all the while: for each program a library that its policy does not know is
# loaded with it and tries to remove a file, which must be refused.
# shellcheck disable=SC2317 # much is called by name, through until_true
set -uo pipefail
export PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8
unset LD_PRELOAD
cd "$(dirname "$0")/../.." || exit 2
root=$PWD
shim=${PINION_LIB:-$root/build/libpinion.so}
policygen=${POLICYGEN:-$root/build/policygen}
work=$(mktemp -d)
policies=$work/policies
failed=0
servers=()

finish() {
    local pid
    for pid in "${servers[@]}"; do
        kill "$pid" 2>/dev/null && wait "$pid" 2>/dev/null
    done
    [ -e "$work/nginx/pid" ] && kill "$(<"$work/nginx/pid")" 2>/dev/null
    rm -rf "$work"
}
trap finish EXIT
chmod 755 "$work" # nginx's workers are another user
mkdir "$policies"

for needed in "$shim" "$policygen"; do
    [ -e "$needed" ] || { echo "not ok programs: $needed is not built"; exit 1; }
done

# ---- what is common to all ----

# analyse NAME [--also PATH] PROGRAM...: makes their policies.
analyse() {
    local name=$1
    shift
    if ! "$policygen" -o "$policies" "$@" >"$work/$name.analysis" 2>&1; then
        echo "not ok programs/$name: policygen failed: $(tail -n 1 "$work/$name.analysis")"
        failed=1
        return 1
    fi
}

protected() {
    timeout 60 env LD_PRELOAD="$shim" PINION_POLICY_DIR="$policies" PINION_LOG="$log" "$@"
}

# For servers, whose process number matters: to be run in the background.
protected_server() {
    exec env LD_PRELOAD="$shim" PINION_POLICY_DIR="$policies" PINION_LOG="$log" "$@"
}

# Lines that tell of anything but "allowed", one for each call.
refusals() {
    [ -e "$1" ] || return 0
    grep -v '"verdict":"allow"' "$1"
}

# Whether all is well with what was done under $log; $1: name, $2: what went wrong with the work itself, or nothing.
conclude() {
    local name=$1 problem=$2 count
    count=$(refusals "$log" | wc -l)
    if [ "$count" != 0 ]; then
        echo "not ok programs/$name: $count denials, first: $(refusals "$log" | head -n 1)"
        failed=1
    elif [ -n "$problem" ]; then
        echo "not ok programs/$name: $problem"
        failed=1
    else
        echo "ok programs/$name"
    fi
}

cat >"$work/intruder.c" <<'END'
#include <stdlib.h>
#include <unistd.h>
__attribute__((constructor)) static void intrude(void) {
    if (getenv("INTRUDER_TARGET") != NULL)
        unlink(getenv("INTRUDER_TARGET"));
}
END
gcc -shared -fPIC -O1 "$work/intruder.c" -o "$work/intruder.so" || exit 2

# enforces NAME PROGRAM ARGUMENT...: run so, the program ends by itself; the intruder in it must have been refused.
enforces() {
    local name=$1 marker=$work/marker
    shift
    log=$work/$name.intruder.log
    : >"$marker"
    timeout 20 env LD_PRELOAD="$shim:$work/intruder.so" PINION_POLICY_DIR="$policies" PINION_LOG="$log" \
        INTRUDER_TARGET="$marker" "$@" >/dev/null 2>&1 </dev/null
    if ! grep '"verdict":"deny"' "$log" 2>&1 | grep '"api":"unlink"' | grep >/dev/null '"reason":"unknown-module"'; then
        echo "not ok programs/$name-is-protected: the intruder was not refused; log: $(head -n 1 "$log" 2>&1)"
        failed=1
    elif [ ! -e "$marker" ]; then
        echo "not ok programs/$name-is-protected: the intruder was refused, but the file is gone"
        failed=1
    else
        echo "ok programs/$name-is-protected"
    fi
}

installed() {
    local name=$1 program
    shift
    for program in "$@"; do
        if ! type -P "$program" >/dev/null; then
            echo "skip programs/$name: $program is not installed"
            return 1
        fi
    done
}

path_of() {
    realpath "$(type -P "$1")"
}

# Port numbers that nobody listens at. Between this and their use somebody else may take one; nobody else tries.
free_port() {
    local port
    while :; do
        port=$((20000 + RANDOM % 20000))
        (: <>"/dev/tcp/127.0.0.1/$port") 2>/dev/null || break
    done
    echo "$port"
}

# until_true SECONDS COMMAND...
until_true() {
    local limit=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$limit" ] || return 1
        sleep 0.02
    done
}

answers() {
    (: <>"/dev/tcp/127.0.0.1/$1") 2>/dev/null
}

# ---- nginx, and curl against it ----

write_nginx_configuration() {
    mkdir -p "$work/nginx/cache" "$work/site/many"
    echo "a page" >"$work/site/index.html"
    seq 200000 >"$work/site/large.txt"
    for i in {1..20}; do echo "$i" >"$work/site/many/$i.txt"; done
    chmod -R a+rX "$work/site"
    chmod 777 "$work/nginx" "$work/nginx/cache"
    cat >"$work/nginx/nginx.conf" <<END
worker_processes 2;
pid $work/nginx/pid;
error_log $work/nginx/error.log info;
events { worker_connections 256; }
http {
    client_body_temp_path $work/nginx/body;
    proxy_temp_path $work/nginx/proxy;
    fastcgi_temp_path $work/nginx/fastcgi;
    uwsgi_temp_path $work/nginx/uwsgi;
    scgi_temp_path $work/nginx/scgi;
    proxy_cache_path $work/nginx/cache levels=1:2 keys_zone=pages:1m;
    access_log $work/nginx/access.log;
    sendfile on;
    gzip on;
    gzip_types text/plain;
    gzip_min_length 1;
    server {
        listen 127.0.0.1:$http_port;
        listen unix:$work/nginx/socket;
        root $work/site;
        location /many/ { autoindex on; }
        location /moved { return 301 /index.html; }
        location /behind/ { proxy_pass http://127.0.0.1:$http_port/; proxy_cache pages; }
        location /upload/ { client_body_in_file_only clean; proxy_pass http://127.0.0.1:$http_port/; }
    }
}
END
}

nginx_worker() {
    pgrep -P "$(<"$work/nginx/pid")" | sort | head -n 1
}

nginx_was_reloaded() {
    [ "$(nginx_worker)" != "$1" ] && grep -q "gracefully shutting down" "$work/nginx/error.log"
}

# A server that is refused something may answer late or never.
curl() {
    command curl --max-time 5 "$@"
}

load_nginx() {
    if type -P wrk >/dev/null; then
        wrk -t1 -c16 -d1s "http://127.0.0.1:$http_port/" >"$work/nginx/load" 2>&1 &&
            ! grep -qE 'Non-2xx|Socket errors' "$work/nginx/load"
    else
        seq 300 | sed "s|.*|url = http://127.0.0.1:$http_port/|" | curl -sf -K - -o "$work/nginx/load"
    fi
}

use_nginx() {
    local url=http://127.0.0.1:$http_port pid old
    protected nginx -p "$work/nginx" -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" || return
    pid=$(<"$work/nginx/pid")
    until_true 5 answers "$http_port" || { echo "does not listen" && return; }
    [ -z "$(refusals "$log" | head -n 1)" ] || return # a worker that ends is started again and again
    grep -qF "$shim" "/proc/$pid/maps" || echo "the shim is not mapped"
    [ "$(curl -sf "$url/")" = "a page" ] || echo "wrong page"
    [ "$(curl -sf --compressed "$url/large.txt" | tail -n 1)" = 200000 ] || echo "wrong large file"
    [ "$(curl -sf -r 0-3 "$url/large.txt" | wc -c)" = 4 ] || echo "wrong range"
    [ "$(curl -sf "$url/behind/index.html")" = "a page" ] && [ "$(curl -sf "$url/behind/index.html")" = "a page" ] ||
        echo "wrong page from behind"
    curl -sf "$url/many/" | grep >/dev/null '20.txt' || echo "wrong directory"
    [ "$(curl -s -o "$work/nginx/missing" -w '%{http_code}' "$url/nowhere")" = 404 ] || echo "no 404"
    curl -s -o "$work/nginx/answer" --data-binary "@$work/site/large.txt" "$url/upload/" || echo "no upload"
    [ "$(curl -sf --unix-socket "$work/nginx/socket" http://here/)" = "a page" ] || echo "wrong page over the socket"
    load_nginx || echo "wrong answers under load"
    old=$(nginx_worker)
    protected nginx -p "$work/nginx" -c "$work/nginx/nginx.conf" -e "$work/nginx/error.log" -s reload
    until_true 10 nginx_was_reloaded "$old" || echo "was not reloaded"
    mv "$work/nginx/access.log" "$work/nginx/access.log.1"
    kill -USR1 "$pid"
    until_true 5 test -e "$work/nginx/access.log" || echo "did not reopen its log"
    until_true 5 curl -sf -o "$work/nginx/again" "$url/" || echo "does not answer after the reload"
}

stop_nginx() {
    local pid
    pid=$(cat "$work/nginx/pid") || return
    kill -QUIT "$pid"
    until_true 10 test ! -e "/proc/$pid" || echo "does not stop"
}

use_curl() {
    local url=http://127.0.0.1:$http_port out=$work/curl
    mkdir "$out"
    [ "$(protected curl -sf "file://$work/site/index.html")" = "a page" ] || echo "wrong file"
    [ "$(protected curl -sfL "http://localhost:$http_port/moved")" = "a page" ] || echo "wrong page"
    protected curl -sf -c "$out/cookies" -D "$out/headers" -o "$out/large" "$url/large.txt" || echo "wrong large file"
    cmp -s "$out/large" "$work/site/large.txt" || echo "the large file differs"
    protected curl -sSf --no-progress-meter --compressed -Z -o "$out/#1.txt" "$url/many/[1-20].txt" || echo "no parallel transfer"
    [ "$(cat "$out"/{1..20}.txt)" = "$(seq 20)" ] || echo "wrong files"
    protected curl -s -T "$work/site/index.html" -o "$out/put" "$url/put" || echo "no upload"
    protected curl -sf --resolve "a.test:$http_port:127.0.0.1" -o "$out/named" "http://a.test:$http_port/" || echo "no --resolve"
    protected curl -s -o "$out/none" "http://127.0.0.1:1/" && echo "answered by nobody"
}

test_nginx_and_curl() {
    local problem
    http_port=$(free_port)
    installed nginx nginx curl pgrep && analyse nginx "$(path_of nginx)" || return
    write_nginx_configuration
    log=$work/nginx.log
    problem=$(use_nginx 2>&1)
    if installed curl curl && analyse curl "$(path_of curl)"; then
        log=$work/curl.log
        conclude curl "$(use_curl 2>&1)"
        enforces curl curl --version
    fi
    log=$work/nginx.log
    problem+=$(stop_nginx 2>&1)
    conclude nginx "$problem"
    enforces nginx nginx -v
}

# ---- redis ----

start_redis() {
    protected_server redis-server --port "$1" --dir "$work/redis-$1" --save "" --appendonly yes --repl-diskless-sync-delay 0 "${@:2}" \
        >"$work/redis-$1/output" 2>&1 &
    servers+=($!)
    until_true 10 redis_is_up "$1"
}

redis_is_up() {
    [ "$(redis-cli -p "$1" ping)" = PONG ]
}

redis_command() {
    protected redis-cli -p "$redis_port" "$@"
}

redis_says() {
    redis-cli -p "$1" info "$2" | grep >/dev/null "^$3"
}

use_redis() {
    local second=$1
    mkdir "$work/redis-$redis_port" "$work/redis-$second"
    start_redis "$redis_port" || { echo "does not start: $(tail -n 2 "$work/redis-$redis_port/output")" && return; }
    [ "$(redis_command set key value)" = OK ] || echo "no set"
    [ "$(redis_command get key)" = value ] || echo "no get"
    [ "$(redis_command eval 'return redis.call("incr", KEYS[1])' 1 counter)" = 1 ] || echo "no script"
    protected redis-benchmark -p "$redis_port" -n 2000 -c 8 -q -t set,get,lpush,sadd,zadd >"$work/redis-benchmark" 2>&1 ||
        echo "no benchmark"
    [ "$(redis_command save)" = OK ] || echo "no save"
    redis_command bgsave >/dev/null
    until_true 10 redis_says "$redis_port" persistence 'rdb_bgsave_in_progress:0' || echo "no bgsave"
    redis_command bgrewriteaof >/dev/null
    until_true 10 redis_says "$redis_port" persistence 'aof_rewrite_in_progress:0' || echo "no rewrite"
    start_redis "$second" --appendonly no --replicaof 127.0.0.1 "$redis_port" || echo "no replica"
    until_true 15 redis_says "$second" replication 'master_link_status:up' || echo "the replica is not linked"
    [ "$(redis-cli -p "$second" get key)" = value ] || echo "the replica lacks a value"
    redis-cli -p "$second" shutdown nosave
    redis_command shutdown save
    until_true 10 grep -q 'bye bye' "$work/redis-$redis_port/output" || echo "does not stop"
    start_redis "$redis_port" || { echo "does not start again" && return; }
    [ "$(redis_command get key)" = value ] || echo "the value is lost"
    redis_command shutdown
}

test_redis() {
    redis_port=$(free_port)
    installed redis redis-server redis-cli redis-benchmark || return
    analyse redis "$(path_of redis-server)" "$(path_of redis-cli)" "$(path_of redis-benchmark)" || return
    log=$work/redis.log
    conclude redis "$(use_redis "$(free_port)" 2>&1)"
    enforces redis redis-server --version
    enforces redis-cli redis-cli --version
}

# ---- memcached ----

memcached_command() {
    local line
    exec 3<>"/dev/tcp/127.0.0.1/$memcached_port" || return
    printf '%s\r\n' "$@" quit >&3
    while read -r -t 5 line <&3; do echo "${line%$'\r'}"; done
    exec 3>&-
}

use_memcached() {
    local pid
    protected_server memcached -u root -l 127.0.0.1 -p "$memcached_port" -t 4 -m 16 >"$work/memcached" 2>&1 &
    pid=$!
    until_true 10 answers "$memcached_port" || { echo "does not listen" && return; }
    [ "$(memcached_command "set key 0 0 5" value)" = STORED ] || echo "no set"
    memcached_command "get key" | grep -x value >/dev/null || echo "no get"
    memcached_command stats "stats items" "stats slabs" | grep >/dev/null "STAT curr_items 1" || echo "no statistics"
    for i in {1..50}; do
        memcached_command "set key$i 0 1 3" abc "get key$i" "delete key$i" | grep -x DELETED >/dev/null || echo "no delete"
    done
    kill "$pid"
    wait "$pid" || [ $? = 143 ] || echo "does not stop"
}

test_memcached() {
    memcached_port=$(free_port)
    installed memcached memcached && analyse memcached "$(path_of memcached)" || return
    log=$work/memcached.log
    conclude memcached "$(use_memcached 2>&1)"
    enforces memcached memcached -V
}

# ---- bash, with the tools that scripts call ----

write_bash_script() {
    cat >"$work/script" <<'END'
set -euo pipefail
cd "$1"
printf '%s\n' pear apple fig >fruit
sort <fruit | tee sorted | tr a-z A-Z >upper
words=$(wc -l <fruit) && echo "$words" >count
cat >here <<DOCUMENT
$(head -n 1 sorted) ${words}
DOCUMENT
grep -q fig <<<"$(cat fruit)"
diff <(sort fruit) sorted
{ sleep 0.05; echo late >background; } &
job=$!
(cd / && [ "$PWD" = / ])
exec 5>descriptor; echo five >&5; exec 5>&-
echo again >>descriptor
trap 'echo trapped >trap' USR1
kill -USR1 $$
coproc other { read -r line; echo "got $line"; }
echo hello >&"${other[1]}"; read -r answer <&"${other[0]}"; echo "$answer" >coproc
wait "$job"
for file in *; do [ -f "$file" ] && test -r "$file" || exit 3; done
mkdir -p a/b && cp fruit a/b && mv a/b/fruit a/b/moved && ls a/b | sed 's/moved/there/' >listing
find . -name 'm*' -print0 | xargs -0 rm && rmdir -p a/b
env -i PATH="$PATH" bash -c 'echo "clean $#" >clean' name one
(ulimit -n 64; umask 077; : >private)
echo <(:) >/dev/null; read -r -t 1 first <fruit; mapfile -t lines <fruit; echo "$first ${#lines[@]}" >read
! false; [[ -e fruit && ! -e none ]]; printf -v date '%(%Y)T' -1; history -c; type -p ls >/dev/null; hash -r
(exit 7) || echo $? >status
awk 'END { print NR }' fruit >awk; seq 3 | paste -sd+ >sum
END
}

use_bash() {
    local out=$work/bash
    mkdir "$out"
    write_bash_script
    protected bash "$work/script" "$out" || echo "the script ended with status $?"
    (cd "$out" && tail -n +1 upper here background descriptor trap coproc listing clean read status awk sum 2>&1) >"$work/bash.is"
    cat >"$work/bash.should" <<'END'
==> upper <==
APPLE
FIG
PEAR

==> here <==
apple 3

==> background <==
late

==> descriptor <==
five
again

==> trap <==
trapped

==> coproc <==
got hello

==> listing <==
there

==> clean <==
clean 1

==> read <==
pear 3

==> status <==
7

==> awk <==
3

==> sum <==
1+2+3
END
    diff "$work/bash.should" "$work/bash.is"
    [ "$(protected bash -i -c 'echo interactive' 2>/dev/null)" = interactive ] || echo "not interactive"
}

test_bash() {
    local tools=() tool
    for tool in sort tee tr wc cat head grep diff sleep mkdir cp mv ls sed find xargs rm rmdir env awk seq paste; do
        tools+=("$(path_of "$tool")")
    done
    installed bash bash && analyse bash "$(path_of bash)" "${tools[@]}" || return
    log=$work/bash.log
    conclude bash "$(use_bash 2>&1)"
    enforces bash bash -c true
}

# ---- git ----

use_git() {
    local out=$work/git
    mkdir "$out" && cd "$out" || return # in a subshell of its own, as all that tells of problems
    export HOME=$out GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_DATE="2024-01-01T00:00:00Z" GIT_COMMITTER_DATE="2024-01-01T00:00:00Z"
    cat >script <<'END'
set -e
git config --global user.name Nobody && git config --global user.email nobody@example.org
git config --global init.defaultBranch main && git config --global core.pager cat
git init -q repository && cd repository
echo one >file && mkdir folder && echo two >folder/other && git add . && git commit -qm First
git branch topic && git checkout -q topic && echo three >>folder/other && git commit -qam Topic
git checkout -q main && echo zero >new && git add new && git commit -qm Second
git merge -q -m Merge topic
git log --oneline --graph --stat >/dev/null && git diff HEAD~1 >/dev/null && git status --short
git tag -a v1 -m Version && git stash list && echo change >>file && git stash -q && git stash pop -q && git checkout -q file
git mv new newer && git rm -q file && git commit -qm Third && git show --format=%s -s
git rebase -q HEAD~1 && git reset -q --hard HEAD && git cherry-pick --allow-empty HEAD >/dev/null 2>&1 || git cherry-pick --abort
git grep -n three && git blame folder/other >/dev/null && git archive HEAD -o ../archive.tar
cd .. && git clone -q repository copy && git clone -q "file://$PWD/repository" second && git clone -q --bare repository bare
cd copy && echo more >more && git add more && git commit -qm More && git push -q ../bare HEAD:main && git fetch -q origin && git pull -q --no-edit origin main
git worktree add -q ../tree && git repack -qad && git gc -q --aggressive --prune=now && git fsck --full && git bundle create -q ../all.bundle --all
END
    protected bash script >output 2>&1 || echo "failed: $(tail -n 3 output)"
    [ "$(git -C bare log --format=%s -1)" = More ] || echo "what was pushed has not arrived"
    [ -e copy/.git/objects/pack ] && [ -s archive.tar ] && [ -s all.bundle ] || echo "something is missing"
}

test_git() {
    installed git git && analyse git "$(path_of git)" "$(git --exec-path)/git" "$(path_of bash)" || return
    log=$work/git.log
    conclude git "$(use_git 2>&1)"
    enforces git git --version
}

# ---- python ----

use_python() {
    cat >"$work/script.py" <<'END'
import asyncio, bz2, csv, ctypes, decimal, glob, gzip, hashlib, json, lzma, mmap, multiprocessing, os, pathlib
import pickle, random, select, shutil, signal, socket, sqlite3, struct, subprocess, sys, tempfile, threading, time
import urllib.request, uuid, zipfile, http.server, concurrent.futures

os.chdir(sys.argv[1])
with open("text", "w") as out:
    out.write("line\n" * 1000)
assert len(open("text").readlines()) == 1000
os.mkdir("d"); os.rename("text", "d/moved"); shutil.copy("d/moved", "copied"); os.symlink("copied", "link"); os.chmod("link", 0o600)
assert sorted(os.listdir(".")) == ["copied", "d", "link"] and [e.name for e in os.scandir("d")] == ["moved"]
for opened, name in ((gzip.open, "z.gz"), (bz2.open, "z.bz2"), (lzma.open, "z.xz")):
    with opened(name, "wb") as out: out.write(b"abc" * 1000)
    assert len(opened(name).read()) == 3000
with zipfile.ZipFile("z.zip", "w") as archive: archive.write("copied")
with tempfile.TemporaryDirectory(dir=".") as name: pathlib.Path(name, "x").write_text("y")
with open("copied", "r+b") as file, mmap.mmap(file.fileno(), 0) as memory: memory[0:1] = b"L"; memory.flush()
os.truncate("copied", 10); os.unlink("link"); shutil.rmtree("d")

assert subprocess.run(["echo", "hello"], capture_output=True, text=True).stdout == "hello\n"
assert subprocess.run("exit 3", shell=True).returncode == 3
assert os.system("true") == 0 and os.popen("echo from popen").read() == "from popen\n"
with subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True, cwd="/") as cat:
    assert cat.communicate(b"through")[0] == b"through"
child = os.fork()
if child == 0: os._exit(5)
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 5
assert os.spawnlp(os.P_WAIT, "true", "true") == 0
os.waitpid(os.posix_spawn("/bin/true", ["true"], os.environ), 0)
with multiprocessing.Pool(2) as pool: assert pool.map(abs, [-1, -2]) == [1, 2]

class Handler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
with urllib.request.urlopen("http://127.0.0.1:%d/copied" % server.server_port) as answer: assert answer.read()[:4] == b"Line"
server.shutdown()
one, other = socket.socketpair(); one.sendall(b"x"); assert select.select([other], [], [], 1)[0] and other.recv(1) == b"x"
with socket.socket(socket.AF_UNIX) as listener: listener.bind("socket"); listener.listen()
with concurrent.futures.ThreadPoolExecutor(8) as pool: assert sum(pool.map(lambda n: n * n, range(100))) == 328350

async def talk():
    async def serve(reader, writer): writer.write(await reader.readline()); writer.close()
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    writer.write(b"echo\n"); assert await reader.readline() == b"echo\n"; writer.close(); server.close()
    process = await asyncio.create_subprocess_exec("true"); assert await process.wait() == 0
asyncio.run(talk())

with sqlite3.connect("base") as base:
    base.execute("create table t (a)"); base.executemany("insert into t values (?)", [(i,) for i in range(100)])
    assert base.execute("select sum(a) from t").fetchone() == (4950,)
signal.signal(signal.SIGALRM, lambda *_: None); signal.setitimer(signal.ITIMER_REAL, 0.01); time.sleep(0.05)
hashlib.sha256(b"x").hexdigest(); uuid.uuid4(); random.random(); decimal.Decimal(1) / 3; json.loads("[1]"); pickle.loads(pickle.dumps({}))
os.umask(0o22); os.nice(0); os.getuid(); os.uname()
assert ctypes.CDLL(None).abs(-3) == 3
print("done")
END
    mkdir "$work/python"
    protected python3 "$work/script.py" "$work/python" >"$work/python.output" 2>&1
    [ "$(tail -n 1 "$work/python.output")" = "done" ] || tail -n 2 "$work/python.output"
}

test_python() {
    local modules
    installed python3 python3 || return
    modules=$(python3 -c 'import sysconfig; print(sysconfig.get_path("platstdlib") + "/lib-dynload")')
    analyse python3 --also "$modules" "$(path_of python3)" || return
    log=$work/python3.log
    conclude python3 "$(use_python 2>&1)"
    enforces python3 python3 -c pass
}

# ---- sqlite ----

use_sqlite() {
    local out=$work/sqlite
    mkdir "$out" && cd "$out" || return
    seq 100 >rows.csv
    echo "select 1;" >other.sql
    protected sqlite3 base >output 2>&1 <<'END' || echo "ended with status $?"
pragma journal_mode=wal;
create table t (a); create index i on t (a);
.mode csv
.import rows.csv t
begin; insert into t select a + 100 from t; commit;
attach 'second' as second; create table second.u as select * from t; detach second;
select count(*) from t;
select writefile('blob', 'content'), length(readfile('blob'));
.output dumped
.dump
.output
.backup copy
.shell echo from the shell
create temp table s as select * from t order by a desc; pragma wal_checkpoint(truncate); vacuum;
.read other.sql
.log off
END
    grep -qx 200 output || echo "wrong count: $(tail -n 2 output)"
    grep -qx "from the shell" output || echo "no shell"
    protected sqlite3 copy <dumped >/dev/null 2>&1
    [ "$(protected sqlite3 -readonly copy 'select count(*) from t; pragma integrity_check;' | tail -n 1)" = ok ] || echo "the copy is not right"
    [ "$(protected sqlite3 :memory: 'select 6 * 7')" = 42 ] || echo "no memory base"
}

test_sqlite() {
    installed sqlite3 sqlite3 && analyse sqlite3 "$(path_of sqlite3)" || return
    log=$work/sqlite3.log
    conclude sqlite3 "$(use_sqlite 2>&1)"
    enforces sqlite3 sqlite3 --version
}

cd "$root" || exit 2

# A failure of one must not keep the others from running.
test_nginx_and_curl
test_redis
test_memcached
test_bash
test_git
test_python
test_sqlite
exit "$failed"
