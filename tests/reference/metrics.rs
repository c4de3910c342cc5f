//! Every metric, with its labels and its help text.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use syn::visit::{self, Visit};
use syn::{
    Block, Expr, ExprCall, ExprMethodCall, ExprPath, ExprStruct, Fields, File, GenericArgument,
    ImplItemFn, Item, ItemFn, Local, Member, Pat, PathArguments, Type,
};

use super::documented::string_in;
use super::page::{compare, head, page, row};
use super::source::{SRC, files_below};

#[test]
fn every_metric_is_in_the_reference() {
    let mut metrics = BTreeMap::new();
    for file in files_below(&Path::new(SRC).join("server")) {
        let text = fs::read_to_string(file).unwrap();
        if text.contains("prometheus_client::registry") {
            let file = syn::parse_file(&text).unwrap();
            let mut registered = Registered::of(&file);
            registered.visit_file(&file);
            metrics.extend(registered.metrics);
        }
    }
    assert!(metrics.len() > 50, "only {} were found", metrics.len());
    let mut out = page(
        "Metrics",
        "the metrics that src/server/ registers",
        "What `/metrics` of the [operator listener](../operate.md#the-operator-listener) shows. \
         [Metrics](../metrics.md) says what to alert on, and which values labels have.",
    );
    head(&mut out, &["metric", "type", "labels", "meaning"]);
    for (name, metric) in metrics {
        let labels: Vec<_> = metric
            .labels
            .iter()
            .map(|name| format!("`{name}`"))
            .collect();
        let labels = labels.join(", ");
        row(
            &mut out,
            &[&format!("`{name}`"), metric.kind, &labels, &metric.help],
        );
    }
    compare("metrics.md", &out);
}

struct Metric {
    kind: &'static str,
    labels: Vec<String>,
    help: String,
}

/// The metrics that a file registers.
struct Registered<'ast> {
    metrics: BTreeMap<String, Metric>,
    /// What the functions of the file do, and what locals of the function at hand are.
    bodies: BTreeMap<String, &'ast Block>,
    locals: BTreeMap<String, Vec<&'ast Expr>>,
    /// The types of the fields of its structs, and the names of those.
    fields: BTreeMap<String, &'ast Type>,
    structs: BTreeMap<String, Vec<String>>,
}

impl<'ast> Registered<'ast> {
    fn of(file: &'ast File) -> Self {
        let mut found = Self {
            metrics: BTreeMap::new(),
            bodies: BTreeMap::new(),
            locals: BTreeMap::new(),
            fields: BTreeMap::new(),
            structs: BTreeMap::new(),
        };
        for item in &file.items {
            if let Item::Struct(item) = item
                && let Fields::Named(fields) = &item.fields
            {
                let fields = fields.named.iter();
                let types =
                    fields.map(|field| (field.ident.clone().unwrap().to_string(), &field.ty));
                let types: Vec<_> = types.collect();
                let names = types.iter().map(|(name, _)| name.clone()).collect();
                found.structs.insert(item.ident.to_string(), names);
                found.fields.extend(types);
            }
        }
        Bodies(&mut found.bodies).visit_file(file);
        found
    }

    /// A call with a name and a help text registers a metric; what it is called says of which kind.
    fn note<'a>(
        &mut self,
        callee: &str,
        arguments: impl Iterator<Item = &'a Expr>,
        field: Option<&str>,
    ) {
        let arguments: Vec<_> = arguments.collect();
        let texts = arguments.windows(2).find_map(|pair| {
            let help = string_in(pair[1]).filter(|text| text.contains(' '));
            Some((string_in(pair[0])?, help?))
        });
        let Some((name, help)) = texts else {
            return;
        };
        let unit = arguments
            .iter()
            .find_map(|argument| last_of(argument).filter(|_| callee == "in_unit"));
        let unit = unit.unwrap_or_else(|| "Seconds".to_owned()).to_lowercase();
        let last = arguments.last().unwrap();
        let (kind, ending) = match callee {
            "gauge" | "gauges" => ("gauge", String::new()),
            "counter" | "counters" => ("counter", "_total".to_owned()),
            "in_unit" if is_made_by(last, "ConstGauge") => ("gauge", format!("_{unit}")),
            "in_unit" if is_made_by(last, "ConstCounter") => ("counter", format!("_{unit}_total")),
            "timer" | "in_unit" => ("histogram", format!("_{unit}")),
            _ => panic!("what is registered by {callee}({name:?}, ...)?"),
        };
        let mut labels = Labels {
            of: self,
            seen: BTreeSet::new(),
            names: Vec::new(),
        };
        labels.visit_expr(last);
        let labels = match field {
            Some(field) => self.labels_of(field),
            None => labels.names,
        };
        let prefix = if name.starts_with("process_") {
            "" // as in every process that Prometheus scrapes
        } else {
            "doorward_"
        };
        let name = format!("{prefix}{name}{ending}");
        let metric = Metric { kind, labels, help };
        assert!(
            self.metrics.insert(name.clone(), metric).is_none(),
            "{name} is registered twice"
        );
    }

    /// The labels of a field that is a family: the fields of its type of labels.
    fn labels_of(&self, field: &str) -> Vec<String> {
        let Some(Type::Path(family)) = self.fields.get(field) else {
            return Vec::new();
        };
        let PathArguments::AngleBracketed(arguments) = &family.path.segments[0].arguments else {
            return Vec::new();
        };
        let GenericArgument::Type(Type::Path(labels)) = &arguments.args[0] else {
            return Vec::new();
        };
        let name = labels.path.segments[0].ident.to_string();
        self.structs[&name].clone()
    }
}

impl<'ast> Visit<'ast> for Registered<'ast> {
    fn visit_impl_item_fn(&mut self, method: &'ast ImplItemFn) {
        self.locals.clear();
        Locals(&mut self.locals).visit_block(&method.block);
        visit::visit_impl_item_fn(self, method);
    }

    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.locals.clear();
        Locals(&mut self.locals).visit_block(&function.block);
        visit::visit_item_fn(self, function);
    }

    fn visit_expr_struct(&mut self, made: &'ast ExprStruct) {
        for field in &made.fields {
            match (&field.member, &field.expr) {
                (Member::Named(name), Expr::Call(call)) if last_of(&call.func).is_some() => {
                    let callee = last_of(&call.func).unwrap();
                    self.note(&callee, call.args.iter(), Some(&name.to_string()));
                }
                _ => self.visit_expr(&field.expr),
            }
        }
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        if let Some(callee) = last_of(&call.func) {
            self.note(&callee, call.args.iter(), None);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        self.note(&call.method.to_string(), call.args.iter(), None);
        visit::visit_expr_method_call(self, call);
    }
}

/// The last name of a path.
fn last_of(value: &Expr) -> Option<String> {
    match value {
        Expr::Path(path) => Some(path.path.segments.last()?.ident.to_string()),
        _ => None,
    }
}

/// Whether a metric is one value of this type.
fn is_made_by(metric: &Expr, kind: &str) -> bool {
    match metric {
        Expr::Call(call) => match &*call.func {
            Expr::Path(path) => path.path.segments[0].ident == kind,
            _ => false,
        },
        _ => false,
    }
}

/// The functions of a file, by name.
struct Bodies<'a, 'ast>(&'a mut BTreeMap<String, &'ast Block>);

impl<'ast> Visit<'ast> for Bodies<'_, 'ast> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.0
            .insert(function.sig.ident.to_string(), &function.block);
    }

    fn visit_impl_item_fn(&mut self, method: &'ast ImplItemFn) {
        self.0.insert(method.sig.ident.to_string(), &method.block);
    }
}

/// What the locals of a function are, those of its closures included.
struct Locals<'a, 'ast>(&'a mut BTreeMap<String, Vec<&'ast Expr>>);

impl<'ast> Visit<'ast> for Locals<'_, 'ast> {
    fn visit_local(&mut self, local: &'ast Local) {
        if let (Pat::Ident(name), Some(init)) = (&local.pat, &local.init) {
            let values = self.0.entry(name.ident.to_string()).or_default();
            values.push(&init.expr);
        }
        visit::visit_local(self, local);
    }
}

/// The labels of a value: what is said by `label`, there or in the locals and functions that it is made of.
struct Labels<'a, 'ast> {
    of: &'a Registered<'ast>,
    seen: BTreeSet<String>,
    names: Vec<String>,
}

impl Visit<'_> for Labels<'_, '_> {
    fn visit_expr_call(&mut self, call: &ExprCall) {
        let text = call.args.first().and_then(string_in);
        if last_of(&call.func).as_deref() == Some("label")
            && let Some(name) = text
            && !self.names.contains(&name)
        {
            self.names.push(name);
        }
        visit::visit_expr_call(self, call);
    }

    fn visit_expr_method_call(&mut self, call: &ExprMethodCall) {
        visit::visit_expr_method_call(self, call);
        let name = call.method.to_string();
        if let Some(body) = self.of.bodies.get(&name)
            && self.seen.insert(name)
        {
            self.visit_block(body);
        }
    }

    fn visit_expr_path(&mut self, path: &ExprPath) {
        if let Some(name) = path.path.get_ident().map(ToString::to_string)
            && let Some(values) = self.of.locals.get(&name)
            && self.seen.insert(name)
        {
            for value in values {
                self.visit_expr(value);
            }
        }
    }
}
