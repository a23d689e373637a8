"""Names of files that hold secrets. Such a file is not copied with its folder, and is not in the diff of a snapshot; to
have it in snapshots, name the file itself in the runbook.

The patterns (of fnmatch, in lower case) come from the file signatures of gitrob (github.com/michenriksen/gitrob,
filesignatures.json, read in November 2026) and the path rules of gitleaks, without those for ordinary settings, logs
and databases, which a project may want to keep; files of machine learning tools were added."""

from __future__ import annotations

import fnmatch
import functools
import re

# Well-known forms of secrets, whatever the name of the setting is.
TOKENS = re.compile(
    r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user:password@ of an address
    r"|\b(?:gh[pousr]_|github_pat_|glpat-|xox[abeprs]-|sk-|hf_|AKIA|ASIA|AIza|eyJ)[A-Za-z0-9_\-.]{12,}"
    r"|(?<=\bBearer )[A-Za-z0-9+/=_.~\-]{8,}"
    r"|https://hooks\.[^\s\"'>]+|https://[^\s\"'>]*/api/webhooks/[^\s\"'>]+"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY-----[^-]*(?:-----END [A-Z ]*PRIVATE KEY-----)?"
)

NAMES = (
    # environment files, and names that contain a word for a secret
    "env", ".env", ".env.*", "*.env", "env.local", ".envrc", "*creds*", "auth.json", "oauth*.json", "cookies.*",
    "*credential*", "*secret*", "*passwd*", "*password*",
    "*api_key*", "*api-key*", "*apikey*", "*access_key*", "*accesskey*", "*private_key*", "*private-key*",
    "token", "tokens", "token.*", "tokens.*", "*.token", "*_token", "*-token", "*_token.*", "*-token.*",
    "*service_account*.json", "*service-account*.json", "*serviceaccount*.json", "adc.json",
    # keys and their stores
    "*.pem", "*.key", "*.ppk", "*.p8", "*.p12", "*.pkcs12", "*.pfx", "*.jks", "*.keystore", "*.keyring",
    "*.keychain",
    "*.agilekeychain", "*.kdb", "*.kdbx", "*.kwallet", "*.psafe3", "*.asc", "*.gpg", "*.age", "*.tpm", "*.bek",
    "*_rsa_key", "*_dsa_key", "*_ecdsa_key", "*_ed25519_key", "deploy_key*", "rootkey.*", "*-key.json",
    "*_key.json",
    "*adminsdk*", "keys.txt", "*_rsa", "*_dsa", "*_ecdsa", "*_ed25519", "id_rsa*", "id_dsa*", "id_ecdsa*",
    "id_ed25519*", "*.ovpn", "*.rdp",
    "otr.private_key", "master.key", "key.json", "keys.json", "known_hosts", "authorized_keys",
    # settings of tools that log in somewhere
    "*netrc*", ".authinfo*", "*webhook*", "vault.yml", "vault.yaml", "config.kube", "docker-config.json",
    "database.yml",
    ".huggingface", ".pgpass", "pgpass.conf", ".my.cnf", ".mylogin.cnf", ".pypirc", ".npmrc", ".yarnrc",
    ".yarnrc.yml", ".condarc", "pip.conf", ".dockercfg", ".dockerconfigjson", ".boto", ".s3cfg", ".s3curl",
    ".passwd-s3fs", "rclone.conf", "sftp-config*", "filezilla.xml", "recentservers.xml", ".htpasswd", "htpasswd",
    ".git-credentials", ".gitconfig", ".hgrc", "kubeconfig", "*.kubeconfig", "kubeconfig.*", "*.tfvars",
    "*.tfstate",
    "*.tfstate.*", ".terraformrc", "terraform.rc", ".vault-token", ".vault_pass*", ".renviron", ".rprofile",
    ".kaggle", "kaggle.json", ".comet.config", ".neptune", ".mlflow", "gcloud.json", "application_default_*",
    ".tugboat", ".trc", "sendgrid.env", ".cloudflared", "robomongo.json", ".remote-sync.json", ".esmtprc",
    ".msmtprc",
    # what was typed into a shell or a database
    ".bash_history", ".zsh_history", ".sh_history", ".histfile", ".python_history", ".psql_history",
    ".mysql_history", ".sqlite_history", ".rediscli_history", ".irb_history", ".node_repl_history", ".lesshst",
)  # fmt: skip
# Folders that hold secrets only, and files that are secrets only in a certain folder.
FOLDERS = (".ssh", ".aws", ".azure", ".gnupg", ".kube", ".docker", ".gcloud", ".oci", ".databricks", ".vault", ".pki")
COPIES = re.compile(r"(~|\.(bak|old|orig|save|backup|copy|swp|\d+))+$")  # what editors and users append to a name
IN_FOLDERS = (
    "gcloud/*",
    "gh/hosts.yml",
    "doctl/config.yaml",
    "huggingface/token",
    "huggingface/stored_tokens",
    "wandb/settings",
    "gem/credentials",
    "composer/auth.json",
)


def is_secret(path: str) -> bool:
    """Does this path (relative to the project) look like a file that holds a secret?"""
    parts = COPIES.sub("", path.lower()).split("/")
    if any(part in FOLDERS for part in parts[:-1]):
        return True
    return bool(_any_of(IN_FOLDERS).match("/".join(parts[-2:])) or _any_of(NAMES).match(parts[-1]))


@functools.cache
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """One expression for all patterns: a folder may hold ten thousand files, and there are three hundred patterns."""
    return re.compile("|".join(map(fnmatch.translate, patterns)))


def git_patterns() -> tuple[str, ...]:
    """The same patterns as pathspecs of git (glob, icase)."""
    names = (*NAMES, *IN_FOLDERS)
    copies = (f"**/{name}{end}" for name in names for end in ("~", ".bak", ".old", ".orig"))
    return (*(f"**/{name}" for name in names), *copies, *(f"**/{folder}/**" for folder in FOLDERS))
