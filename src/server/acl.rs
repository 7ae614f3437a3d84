//! What users may do, where it matters: logging in, the check before a command, and what becomes of clients whose user
//! changes (= the parts of acl.c that touch clients).
//!
//! A client that may do everything is known by one field, so that the rules cost it nothing. That field is found out
//! anew for all clients whenever a user changes.

use super::client::{Access, Class, Client, ClientId};
use super::{Server, admin};
use crate::acl::log::{Context, Denial, Reason};
use crate::acl::{self, Asked, Catalogue, Denied, NoCommands, RuleError, User, UserId, Users, merge_selectors};
use crate::commands::CommandError;
use crate::commands::command::{Begin, flag};
use crate::commands::keys_of::Described;
use crate::config::{AclPubsubDefault, reason};
use crate::pubsub::Space;
use crate::resp::request::Argv;
use crate::server::table::CommandTable;
use std::io;
use std::path::Path;

/// What a client answers for whose user is nobody: our master.
const SUPERUSER: &[u8] = b"(superuser)";

/// Commands that a setting of their own allows to nobody, to clients on this machine, or to all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protected {
    /// DEBUG.
    Debug,
    /// MODULE LOAD and its kin.
    Module,
}

impl Catalogue for CommandTable {
    fn count(&self) -> usize {
        self.commands.len()
    }

    fn find(&self, full_name: &[u8]) -> Option<usize> {
        self.commands.iter().position(|command| command.name.as_bytes().eq_ignore_ascii_case(full_name))
    }

    fn categories(&self, index: usize) -> u32 {
        self.commands[index].categories
    }

    fn subcommands(&self, index: usize) -> &[usize] {
        &self.commands[index].subcommands
    }

    fn is_subcommand(&self, index: usize) -> bool {
        self.commands[index].is_subcommand
    }
}

/// Refuses a `user` line of a configuration file that makes no sense whatever commands there are
/// (= ACLAppendUserForLoading).
pub fn check_user_line(args: &[&[u8]]) -> Result<(), String> {
    let Some((name, rules)) = args.split_first() else { return Ok(()) };
    // Stock counts from the wrong word.
    let complain = |place: usize, error: RuleError| {
        let word = [b"user".as_slice(), name].into_iter().chain(rules.iter().copied()).nth(place).unwrap_or_default();
        Err(format!("Error in user declaration '{}': {error}", String::from_utf8_lossy(word)))
    };
    let rules = match merge_selectors(rules) {
        Ok(rules) => rules,
        Err(place) => return complain(place, RuleError::Unknown),
    };
    let mut user = User::new(name, false);
    for (place, rule) in rules.iter().enumerate() {
        match user.apply(rule, &NoCommands, false) {
            Ok(()) | Err(RuleError::Unknown) => {}
            Err(error) => return complain(place, error),
        }
    }
    Ok(())
}

impl Server {
    /// Whether new users may use all channels.
    pub(super) fn new_users_hear_all(&self) -> bool {
        self.config.acl_pubsub_default == AclPubsubDefault::Allchannels
    }

    /// Makes the users that the configuration, or the file it names, speaks of (= ACLLoadUsersAtStartup).
    pub(super) fn load_users_at_startup(&mut self) -> io::Result<()> {
        self.update_default_user_password();
        if self.config.aclfile.is_some() && !self.config.users.is_empty() {
            return Err(io::Error::other(
                "Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is \
                 invalid. This setup is very likely to lead to configuration errors and security holes, please define \
                 either an ACL file or declare users directly in your redis.conf, but not both.",
            ));
        }
        match self.config.aclfile.clone() {
            Some(path) => {
                let users = self.read_acl_file(&path);
                self.users = users.map_err(|error| {
                    io::Error::other(format!("Aborting Redis startup because of ACL errors: {error}"))
                })?;
            }
            None => self.load_configured_users().map_err(|error| {
                log::warn!("{error}");
                io::Error::other("Critical error while loading ACLs. Exiting.")
            })?,
        }
        Ok(())
    }

    fn load_configured_users(&mut self) -> Result<(), String> {
        let all_channels = self.new_users_hear_all();
        for line in &self.config.users {
            let Some((name, rules)) = line.split_first() else { continue };
            if name.contains(&b' ') {
                return Err("Spaces not allowed in ACL usernames".into());
            }
            let shown = String::from_utf8_lossy(name);
            let mut user = User::new(name, all_channels);
            for rule in merge_selectors(rules).unwrap_or_default() {
                user.apply(&rule, &self.table, all_channels).map_err(|error| {
                    let rule = String::from_utf8_lossy(&rule);
                    format!("Error loading ACL rule '{rule}' for the user named '{shown}': {error}")
                })?;
            }
            if !user.is_on() {
                log::info!(
                    "The user '{shown}' is disabled (there is no 'on' modifier in the user description). Make sure \
                     this is not a configuration error."
                );
            }
            self.users.put(user);
        }
        Ok(())
    }

    /// The users that a file holds; a complaint if it cannot be read or anything in it is bad.
    pub(super) fn read_acl_file(&self, path: &Path) -> Result<Users, String> {
        let shown = path.display().to_string();
        let text = self
            .disk
            .read_whole(path)
            .map_err(|error| format!("Error loading ACLs, opening file '{shown}': {}", reason(&error)))?;
        Users::parse(&text, &shown, &self.table, self.new_users_hear_all())
    }

    /// `requirepass` is another way to say the only password of the default user.
    pub(super) fn update_default_user_password(&mut self) {
        let password = Some(&self.config.requirepass[..]).filter(|password| !password.is_empty());
        self.users.default_user_mut().set_only_password(password);
        self.refresh_all_access();
    }

    /// Whether who has not logged in is the default user and needs no password.
    pub(super) fn default_user_is_open(&self) -> bool {
        let user = self.users.default_user();
        user.is_on() && user.needs_no_password()
    }

    /// What a new connection may run.
    pub(super) fn first_access(&self) -> Access {
        match self.default_user_is_open() {
            true => self.access_of(acl::DEFAULT),
            false => Access::Login,
        }
    }

    fn access_of(&self, user: UserId) -> Access {
        match self.users.get(user).is_some_and(User::is_unrestricted) {
            true => Access::Everything,
            false => Access::ByRules,
        }
    }

    fn refresh_access(&mut self, id: ClientId) {
        let open = self.default_user_is_open();
        let Some(client) = self.clients.get(id) else { return };
        let access = match () {
            () if client.is_master() => Access::Everything,
            () if !client.authenticated && !open => Access::Login,
            () => self.access_of(client.user),
        };
        if let Some(client) = self.clients.get_mut(id) {
            client.access = access;
            client.session.reads_named_keys_only = false;
        }
    }

    /// Finds out anew what every client may run.
    pub(super) fn refresh_all_access(&mut self) {
        let all: Vec<ClientId> = self.clients.iter().map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.refresh_access(id));
    }

    /// Makes a client what it was when it came: the default user, logged in if that needs no password.
    pub(super) fn log_out(&mut self, id: ClientId) {
        let open = self.default_user_is_open();
        if let Some(client) = self.clients.get_mut(id) {
            client.user = acl::DEFAULT;
            client.authenticated = open;
        }
        self.refresh_access(id);
    }

    /// Logs a client in, if the name and the password are those of a user that may. `command` is what asked.
    pub(super) fn log_in(
        &mut self,
        id: ClientId,
        command: &[u8],
        name: &[u8],
        password: &[u8],
    ) -> Result<(), CommandError> {
        let found = self.users.by_name(name);
        let user = found.filter(|&user| self.users.get(user).is_some_and(|user| user.accepts(password)));
        let Some(user) = user else {
            let in_multi = self.clients.get(id).is_some_and(|client| client.multi.is_some());
            let context = if in_multi { Context::Multi } else { Context::TopLevel };
            self.note_denied(id, Reason::Auth, context, command, name);
            return Err(CommandError::new("WRONGPASS invalid username-password pair or user is disabled."));
        };
        if let Some(client) = self.clients.get_mut(id) {
            client.user = user;
            client.authenticated = true;
        }
        self.refresh_access(id);
        Ok(())
    }

    /// The name of a client's user.
    pub fn user_name(&self, client: &Client) -> &[u8] {
        if client.is_master() {
            return SUPERUSER;
        }
        self.users.get(client.user).map_or(b"default", User::name)
    }

    fn asked<'a>(&'a self, index: usize, argv: Argv<'a>) -> Asked<'a> {
        let command = &self.table.commands[index];
        Asked {
            index,
            command: Described { name: &command.name, flags: command.flags, keys: command.keys },
            is_subcommand: command.is_subcommand,
            argv,
        }
    }

    /// Whether a user may run a command.
    pub fn user_may_run(&self, user: UserId, index: usize, argv: Argv<'_>) -> Result<(), Denied> {
        let user = self.users.get(user).ok_or(Denied::Command)?;
        user.check(&self.asked(index, argv))
    }

    /// Whether the rules of a client's user allow a command; nothing is noted (= ACLCheckAllPerm).
    pub fn acl_check(&self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), Denied> {
        match self.clients.get(id) {
            Some(client) if client.access != Access::Everything => self.user_may_run(client.user, index, argv),
            _ => Ok(()),
        }
    }

    /// Why the rules of a client's user do not allow a command, in words without a code; that is noted. Who runs
    /// commands on behalf of a client asks here first.
    pub fn acl_refusal(&mut self, id: ClientId, index: usize, argv: Argv<'_>, context: Context) -> Option<Vec<u8>> {
        let denied = match self.acl_check(id, index, argv) {
            Err(denied) => denied,
            Ok(()) => {
                self.note_named_keys(id, index, argv);
                return None;
            }
        };
        let client = self.clients.get(id)?;
        let user = self.user_name(client).to_vec();
        let text = denial_text(denied, &user, &self.table.commands[index].name, argv, false);
        self.note_refused(id, index, argv, denied, context);
        Some(text)
    }

    pub(super) fn note_refused(
        &mut self,
        id: ClientId,
        index: usize,
        argv: Argv<'_>,
        denied: Denied,
        context: Context,
    ) {
        let Some(client) = self.clients.get(id) else { return };
        let user = self.user_name(client).to_vec();
        let (reason, object) = match denied {
            Denied::Command => (Reason::Command, self.table.commands[index].name.clone().into_bytes()),
            Denied::Key(place) => (Reason::Key, argv.at(place).to_vec()),
            Denied::Channel(place) => (Reason::Channel, argv.at(place).to_vec()),
        };
        self.note_denied(id, reason, context, &object, &user);
    }

    /// Lets a command know, if it reads keys that its arguments do not name, whether it may.
    fn note_named_keys(&mut self, id: ClientId, index: usize, argv: Argv<'_>) {
        if !self.table.commands[index].keys.iter().any(|spec| spec.begin == Begin::Unknown) {
            return;
        }
        let Some(client) = self.clients.get(id) else { return };
        let any = client.access == Access::Everything
            || self.users.get(client.user).is_some_and(|user| user.reads_any_key(&self.asked(index, argv)));
        if let Some(client) = self.clients.get_mut(id) {
            client.session.reads_named_keys_only = !any;
        }
    }

    fn note_denied(&mut self, id: ClientId, reason: Reason, context: Context, object: &[u8], user: &[u8]) {
        let client = admin::client::description(self, id);
        let denial = Denial { reason, context, object, user, client, now_ms: self.keys.now };
        self.acl_log.note(denial, self.config.acllog_max_len as usize);
    }

    /// The check of a client that may not do everything.
    #[cold]
    pub(super) fn may_access(&mut self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), CommandError> {
        let Some(client) = self.clients.get_mut(id) else { return Ok(()) };
        client.last_command = Some(index);
        self.check_if_protected(id, index)?;
        let Some(client) = self.clients.get(id) else { return Ok(()) };
        if client.access == Access::Login {
            // What belongs to logging in is free to all, whatever the rules of the default user say.
            return match self.table.commands[index].flags & flag::NO_AUTH {
                0 => Err(CommandError::new("NOAUTH Authentication required.")),
                _ => Ok(()),
            };
        }
        let context = if client.multi.is_some() { Context::Multi } else { Context::TopLevel };
        match self.acl_refusal(id, index, argv, context) {
            Some(text) => Err(CommandError::bytes([b"NOPERM ".as_slice(), &text].concat())),
            None => Ok(()),
        }
    }

    /// Refuses a protected command to who may not use it, whatever its user may do.
    pub fn check_protected(&self, id: ClientId, what: Protected) -> Result<(), CommandError> {
        let (name, setting, access) = match what {
            Protected::Debug => ("DEBUG", "debug", self.config.enable_debug_command),
            Protected::Module => ("MODULE", "module", self.config.enable_module_command),
        };
        if access.permits(self.is_local(id)) {
            return Ok(());
        }
        Err(CommandError::new(format!(
            "ERR {name} command not allowed. If the enable-{setting}-command option is set to \"local\", you can run it \
             from a local connection, otherwise you need to set this option in the configuration file, and then restart \
             the server."
        )))
    }

    /// `check_protected` of a command of the table.
    pub(super) fn check_if_protected(&self, id: ClientId, index: usize) -> Result<(), CommandError> {
        let command = &self.table.commands[index];
        match &command.name[..] {
            _ if command.flags & flag::ADMIN == 0 => Ok(()),
            "debug" => self.check_protected(id, Protected::Debug),
            "module|load" | "module|loadex" | "module|unload" => self.check_protected(id, Protected::Module),
            _ => Ok(()),
        }
    }

    /// Asks once more at EXEC: rules may have changed since the command was queued, or the client has logged in.
    pub(super) fn may_still_run(&mut self, id: ClientId, index: usize, argv: Argv<'_>) -> Result<(), CommandError> {
        let denied = match self.acl_check(id, index, argv) {
            Err(denied) => denied,
            Ok(()) => {
                if self.clients.get(id).is_some_and(|client| client.access != Access::Everything) {
                    self.note_named_keys(id, index, argv);
                }
                return Ok(());
            }
        };
        self.note_refused(id, index, argv, denied, Context::Multi);
        let why = match denied {
            Denied::Command => "no permission to execute the command or subcommand",
            Denied::Key(_) => "no permission to touch the specified keys",
            Denied::Channel(_) => "no permission to access one of the channels used as arguments",
        };
        Err(CommandError::new(format!(
            "NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This \
             command is no longer allowed for the following reason: {why}"
        )))
    }

    /// Answers an error in the place of a command's reply.
    pub(super) fn answer_error(&mut self, id: ClientId, error: &CommandError) {
        self.stats.note_error(&error.0);
        if let Some(reply) = self.reply(id) {
            reply.error(&error.0);
        }
    }

    /// Ends the connections of a user that is no more. `caller`'s own ends after its reply.
    pub(super) fn close_clients_of(&mut self, user: UserId, caller: ClientId) {
        let of_user = self.clients.iter().filter(|(_, client)| client.user == user && !client.is_master());
        let all: Vec<ClientId> = of_user.map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.deauthenticate_and_close(id, caller));
    }

    fn deauthenticate_and_close(&mut self, id: ClientId, caller: ClientId) {
        if let Some(client) = self.clients.get_mut(id) {
            client.user = acl::DEFAULT;
            client.authenticated = false;
            client.close_after_reply |= id == caller;
        }
        self.refresh_access(id);
        if id != caller {
            self.close_client(id);
        }
    }

    /// Ends the connections that listen to what their user may not listen to any more (= ACLKillPubsubClientsIfNeeded).
    pub(super) fn close_deaf_subscribers(&mut self, user: UserId, caller: ClientId) {
        let Some(rules) = self.users.get(user) else { return };
        let forbidden = |id: ClientId| {
            let names = |space: Space| self.pubsub.subscriptions(space, id);
            let is_denied =
                |space: Space| names(space).iter().any(|name| !rules.allows_channel(name, space == Space::Pattern));
            [Space::Channel, Space::Pattern, Space::Shard].into_iter().any(is_denied)
        };
        let listens = |client: &Client| client.user == user && client.class() == Class::PubSub;
        let found = self.clients.iter().filter(|(id, client)| listens(client) && forbidden(*id));
        let all: Vec<ClientId> = found.map(|(id, _)| id).collect();
        all.into_iter().for_each(|id| self.deauthenticate_and_close(id, caller));
    }
}

/// What a denial says. `verbose` names the key or the channel, which is for those who may know all rules.
pub fn denial_text(denied: Denied, user: &[u8], command: &str, argv: Argv<'_>, verbose: bool) -> Vec<u8> {
    let named = |what: &[u8], before: &str, after: &str| {
        [b"User ", user, b" has no permissions to ", before.as_bytes(), b" '", what, b"' ", after.as_bytes()].concat()
    };
    match denied {
        Denied::Command => named(command.as_bytes(), "run the", "command"),
        Denied::Key(place) if verbose => named(argv.at(place), "access the", "key"),
        Denied::Channel(place) if verbose => named(argv.at(place), "access the", "channel"),
        Denied::Key(_) => b"No permissions to access a key".to_vec(),
        Denied::Channel(_) => b"No permissions to access a channel".to_vec(),
    }
}
