//! The instances of a host.

use std::collections::HashMap;

use campanile_yaml::{Diagnostics, Kind, Node, Severity, Value, did_you_mean};

use super::extensions;
use super::fields::{is_uri_component, present, start_of};
use super::model::{InstanceConfig, Limits, Manage, Restart, Stop};

/// The keys of OCS, then ours.
const INSTANCE_KEYS: &[&str] = &[
    "agent-class",
    "instance-id",
    "arguments",
    "manage",
    "command",
    "env",
    "cwd",
    "stop",
    "after",
    "ready",
    "limits",
    "restart",
];
const MANAGE_WORDS: &[&str] = &[
    "host/up",
    "host/down",
    "docker/up",
    "docker/down",
    "ignore",
    "host",
    "docker",
    "up",
    "down",
    "yes",
    "no",
];
/// The class of the manager itself, which never manages itself.
const HOST_MANAGER: &str = "HostManager";

/// All instances, and for each the node of its entry.
pub(super) fn read_all<'d>(
    list: Node<'d>,
    diagnostics: &mut Diagnostics,
) -> (Vec<InstanceConfig>, Vec<Node<'d>>) {
    let mut instances: Vec<InstanceConfig> = Vec::new();
    let mut nodes: Vec<Node<'d>> = Vec::new();
    let mut first_of: HashMap<String, usize> = HashMap::new();
    for (index, entry) in list.items().enumerate() {
        let number = index + 1;
        let mut own = Diagnostics::new();
        let mut instance = read(entry, number, &mut own);
        let node = id_node(entry);
        if let Some(first) = first_of.get(&instance.instance_id) {
            let problem = node.error(format!("the instance-id `{}` is repeated", instance.instance_id));
            let problem = problem.related(id_node(nodes[*first]).place(), "it was given here before");
            own.push(problem.hint("the first entry keeps the id, this one is disabled: give it another id"));
            instance.instance_id = format!("{}#{number}", instance.instance_id);
        } else {
            first_of.insert(instance.instance_id.clone(), index);
        }
        instance.problem = reason(&own);
        diagnostics.extend(own);
        instances.push(instance);
        nodes.push(entry);
    }
    (instances, nodes)
}

/// Where the id of an entry is, else the entry.
pub(super) fn id_node(entry: Node<'_>) -> Node<'_> {
    entry.get("instance-id").unwrap_or(entry)
}

/// The errors in words for the operator; `None` when there are none.
pub(super) fn reason(diagnostics: &Diagnostics) -> Option<String> {
    let errors = diagnostics.iter().filter(|item| item.severity == Severity::Error);
    let lines: Vec<String> = errors
        .map(|error| match error.span {
            Some(span) => format!("line {}: {}", span.start.line, error.message),
            None => error.message.clone(),
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("; "))
}

fn read(entry: Node<'_>, number: usize, diagnostics: &mut Diagnostics) -> InstanceConfig {
    let mut instance = InstanceConfig {
        agent_class: String::new(),
        instance_id: format!("#{number}"),
        arguments: Vec::new(),
        manage: Manage::default(),
        command: None,
        env: Vec::new(),
        cwd: None,
        stop: Stop::default(),
        after: Vec::new(),
        ready: None,
        limits: Limits::default(),
        restart: Restart::default(),
        span: entry.place(),
        problem: None,
    };
    let Some(entry) = entry.want_map(diagnostics) else { return instance };
    entry.warn_of_misspelt_keys(INSTANCE_KEYS, diagnostics);
    if let Some(id) = read_id(entry, diagnostics) {
        instance.instance_id = id;
    }
    if let Some(arguments) = present(entry, "arguments") {
        read_arguments(arguments, &mut instance.arguments, diagnostics);
    }
    extensions::read(entry, &mut instance, diagnostics);
    instance.agent_class = read_class(entry, instance.command.as_deref(), diagnostics);
    instance.manage = if instance.agent_class == HOST_MANAGER {
        Manage::Ignore
    } else {
        read_manage(entry, diagnostics).unwrap_or_default()
    };
    if instance.manage.is_docker() {
        extensions::warn_of_unused(entry, diagnostics);
    }
    instance
}

fn read_id(entry: Node<'_>, diagnostics: &mut Diagnostics) -> Option<String> {
    let Some(node) = present(entry, "instance-id") else {
        let problem = entry.error("`instance-id` is missing").at(start_of(entry));
        diagnostics.push(problem.hint("every instance needs an id of its own"));
        return None;
    };
    let id = node.want_text(diagnostics)?;
    if !node.is_str() {
        let problem =
            node.warning(format!("the instance-id is {}, which OCS agents cannot find", node.description()));
        diagnostics.push(problem.hint(format!("put it in quotes: '{id}'")));
    }
    if id.contains('.') && id.split('.').all(is_uri_component) {
        let problem = node.warning("the registry and ocs-web do not see instances with a `.` in their id");
        diagnostics.push(problem.hint("use `-` or `_`"));
    } else if !is_uri_component(id) {
        let problem =
            node.error(format!("`{id}` cannot be an instance-id, since it is part of an address on the bus"));
        diagnostics.push(problem.hint("use letters, digits, `-` and `_`"));
        return None;
    }
    Some(id.to_owned())
}

fn read_class(entry: Node<'_>, command: Option<&[String]>, diagnostics: &mut Diagnostics) -> String {
    let Some(node) = present(entry, "agent-class") else {
        // Beside a command the class is only a label, and the program's name is a good one.
        if let Some(program) = command.and_then(|command| command.first()) {
            return program.rsplit('/').next().unwrap_or(program).to_owned();
        }
        if entry.get("command").is_none() {
            let problem = entry.error("`agent-class` is missing").at(start_of(entry));
            diagnostics.push(
                problem.hint("name an agent class of OCS, or give the program to run as `command: [...]`"),
            );
        }
        return String::new();
    };
    let class = node.want_text(diagnostics).unwrap_or_default();
    if !node.is_str() && !class.is_empty() {
        let problem = node.warning(format!("the agent class is {} to OCS", node.description()));
        diagnostics.push(problem.hint(format!("put it in quotes: '{class}'")));
    }
    if class.is_empty() && node.is_str() {
        diagnostics.push(node.error("`agent-class` is empty"));
    }
    class.to_owned()
}

fn read_manage(entry: Node<'_>, diagnostics: &mut Diagnostics) -> Option<Manage> {
    let node = present(entry, "manage")?;
    if let Value::Bool(wanted) = node.safe() {
        let manage = if wanted { Manage::HostUp } else { Manage::Ignore };
        let text = node.text().unwrap_or_default();
        let problem =
            node.warning(format!("`{text}` without quotes is a boolean, which OCS does not accept here"));
        diagnostics.push(problem.hint(format!("taken as `{0}`; write `manage: {0}`", manage.as_str())));
        return Some(manage);
    }
    let text = node.want_str(diagnostics)?;
    let manage = Manage::from_text(text);
    if manage.is_none() {
        let hint = match did_you_mean(text, MANAGE_WORDS.iter().copied()) {
            Some(word) => format!("did you mean `{word}`?"),
            None => format!("known are {}", MANAGE_WORDS.join(", ")),
        };
        diagnostics.push(node.error(format!("unknown value `{text}` of `manage`")).hint(hint));
    }
    manage
}

/// Lists in lists are flattened, and each item is printed as Python's `str()` does it.
fn read_arguments(node: Node<'_>, arguments: &mut Vec<String>, diagnostics: &mut Diagnostics) {
    let Some(list) = node.want_list(diagnostics) else { return };
    for item in list.items() {
        if item.kind() == Kind::List {
            read_arguments(item, arguments, diagnostics);
            continue;
        }
        if item.is_broken() {
            continue;
        }
        let value = item.safe();
        let printed = value.python_str();
        if printed.contains('\0') {
            diagnostics.push(item.error("a NUL character cannot be part of an argument"));
            continue;
        }
        if is_surprising(item, &value, &printed) {
            let problem = item.warning(format!("this argument is passed as `{printed}`"));
            let hint =
                item.text().filter(|text| !text.is_empty()).map(|text| format!("put it in quotes: '{text}'"));
            diagnostics.push(problem.maybe_hint(hint));
        }
        arguments.push(printed);
    }
}

/// Whether an argument arrives as something else than what is written.
fn is_surprising(item: Node<'_>, value: &Value, printed: &str) -> bool {
    match (value, item.text()) {
        (Value::Str(_), _) => false,
        // `1.50` arrives as `1.5`, which means the same.
        (Value::Float(value), Some(text)) => text.parse() != Ok(*value),
        (_, Some(text)) => text != printed,
        (_, None) => true,
    }
}
