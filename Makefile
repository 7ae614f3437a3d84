# Understudy. `make run` starts the server, `make test` brings what the tests need and runs them.

CARGO  ?= cargo
PREFIX ?= /usr/local
ARGS   ?=

.PHONY: all build run test sim mutants fuzz lint compare bridge bench install uninstall clean peers

all: build

build:
	$(CARGO) build --release --locked

# make run ARGS="--port 7000 --replicaof 127.0.0.1 6379"
run: build
	./target/release/understudy $(ARGS)

peers:
	scripts/install-peers --clients
	scripts/install-peers --bridge

test: peers
	@if $(CARGO) nextest --version >/dev/null 2>&1; \
	then echo "$(CARGO) nextest run"; $(CARGO) nextest run --locked; \
	else echo "$(CARGO) test"; $(CARGO) test --locked; fi

# make sim SEEDS=100000 [FIRST=1] runs many seeds of the simulator; make sim SEED=17 replays one and shows its trace
SEEDS ?= 10000
FIRST ?= 1
sim:
	$(if $(SEED),SIM_SEED=$(SEED)) SIM_SEEDS=$(SEEDS) SIM_FIRST=$(FIRST) $(CARGO) test --locked --test sim -- --nocapture

# breaks rules of replication in a copy, one at a time: the simulator must find each
mutants:
	scripts/sim-mutants

# make fuzz SECONDS=600 [TARGETS="restore rdb"] runs the fuzz targets, each for so long; it needs a nightly toolchain
SECONDS ?= 60
TARGETS ?=
fuzz:
	scripts/fuzz $(SECONDS) $(TARGETS)

lint:
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	$(CARGO) test --locked --test tidy

# make compare ARGS="--count 100000 --seed 7"; scripts/compare --help names the parts
compare: build peers
	scripts/compare all $(ARGS)

# make bridge ARGS="--from valkey-server-9.1 --seed 7": five servers over five servers, a bridge between them, 25 pairs
bridge: build peers
	scripts/bridge-matrix $(ARGS)

# make bench ARGS="requests --commands GET,SET --rounds 3"; scripts/bench --list names the parts
bench:
	$(CARGO) build --release --locked --bins --examples
	scripts/install-peers --bench
	scripts/bench $(ARGS)

install: build
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)/etc/understudy $(DESTDIR)/lib/systemd/system $(DESTDIR)/usr/lib/sysusers.d
	install -m 755 target/release/understudy $(DESTDIR)$(PREFIX)/bin/understudy
	if [ ! -e $(DESTDIR)/etc/understudy/understudy.conf ]; then \
	  install -m 640 scripts/understudy.conf $(DESTDIR)/etc/understudy/understudy.conf; fi
	sed 's|/usr/local/bin/|$(PREFIX)/bin/|g' scripts/understudy.service > $(DESTDIR)/lib/systemd/system/understudy.service
	echo 'u understudy - "Understudy server" /var/lib/understudy' > $(DESTDIR)/usr/lib/sysusers.d/understudy.conf
	chmod 644 $(DESTDIR)/lib/systemd/system/understudy.service $(DESTDIR)/usr/lib/sysusers.d/understudy.conf
	@# The unit runs as user understudy, who must read and rewrite the configuration. Nothing is started or enabled.
	@if [ -z "$(DESTDIR)" ] && command -v systemd-sysusers >/dev/null; then \
	  systemd-sysusers /usr/lib/sysusers.d/understudy.conf && chown -R understudy: /etc/understudy; fi
	@echo "installed; systemctl enable --now understudy starts it"

uninstall:
	rm -f $(DESTDIR)$(PREFIX)/bin/understudy $(DESTDIR)/lib/systemd/system/understudy.service \
	  $(DESTDIR)/usr/lib/sysusers.d/understudy.conf

clean:
	$(CARGO) clean
