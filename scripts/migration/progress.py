"""How far a sync is, as either side tells: an Understudy tells keys and rates, a stock server bytes alone."""


def number(fields, name):
    try:
        return float(fields.get(name) or 0)
    except ValueError:
        return 0.0


class Told:
    """How far it is; 0 where nobody knows."""

    def __init__(self, what, fields, names, seconds):
        """`names`: what `fields` call bytes, all bytes, keys, all keys, bytes a second, keys a second, seconds left."""
        self.what = what
        self.bytes, self.all_bytes, self.keys, self.all_keys, self.bytes_rate, self.keys_rate, self.left = (number(fields, name) for name in names)
        if not self.bytes_rate and not self.keys_rate:
            self.bytes_rate, self.keys_rate = self.bytes / max(seconds, 0.001), self.keys / max(seconds, 0.001)
        if self.left <= 0:
            self.left = left(self.all_bytes, self.bytes, self.bytes_rate) or left(self.all_keys, self.keys, self.keys_rate)

    def __str__(self):
        parts = [of("%d", self.keys, self.all_keys, "keys"), of("%.1f", self.bytes / 1e6, self.all_bytes / 1e6, "MB")]
        parts += ["%.1f MB/s" % (self.bytes_rate / 1e6)] if self.bytes else []
        parts += ["%d keys/s" % self.keys_rate] if self.keys else []
        parts += ["%d s left" % max(self.left, 1)] if self.left > 0 else []
        return self.what + ": " + ", ".join(part for part in parts if part)


def left(total, done, rate):
    return (total - done) / rate if total > done and rate > 0 else 0


def of(form, done, total, unit):
    return "%s of %s %s" % (form % done, form % total, unit) if total else "%s %s" % (form % done, unit) if done else ""


def line(node, above, replication, seconds):
    """How far `node` is, which syncs with `above`. `replication`: that section of its INFO."""
    loading = node.info("persistence")
    receives = number(replication, "master_sync_read_bytes") > 0
    if (loading.get("loading") == "1" or loading.get("async_loading") == "1") and not (receives and "master_sync_read_keys" in replication):
        names = ("loaded_bytes", "total_bytes", "loaded_keys", "total_keys", "bytes_per_sec", "keys_per_sec", "eta_seconds")
        return "%s %s" % (node, Told("loads", loading, ["loading_" + name for name in names], seconds))
    sent = sent_by(above, node) if above.is_ours() else None
    if receives and ("master_sync_read_keys" in replication or not sent):
        names = ("read_bytes", "total_bytes", "read_keys", "total_keys", "bytes_per_sec", "keys_per_sec", "eta_seconds")
        return "%s %s" % (node, Told("receives", replication, ["master_sync_" + name for name in names], seconds))
    if sent:
        what = "receives" if sent["state"] in ("send", "stream") else "waits, the snapshot is written"
        names = ("bytes", "total_bytes", "keys", "total_keys", "bytes_per_sec", "keys_per_sec", "eta_seconds")
        return "%s %s" % (node, Told(what, sent, names, seconds))
    saved = above.info("persistence")
    if saved.get("rdb_bgsave_in_progress") == "1":
        names = ("", "", "current_save_keys_processed", "current_save_keys_total", "", "", "")
        return "%s %s" % (node, Told("waits, %s writes the snapshot" % above.role, saved, names, number(saved, "rdb_current_bgsave_time_sec")))
    return "%s waits for %s" % (node, above)


def sent_by(above, node):
    """What an Understudy tells of its replica at this port."""
    told = above.info("replication")
    for name, value in told.items():
        if name.startswith("slave") and name[5:].isdigit() and "port=%d," % node.port in value:
            syncing = told.get("syncing_" + name)
            return dict(part.split("=", 1) for part in syncing.split(",")) if syncing else None
    return None
