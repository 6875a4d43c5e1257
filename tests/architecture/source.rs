//! Reads a source file as tokens and lists every path that it names, with `use` trees unfolded and `self` and `super`
//! resolved; code under `#[cfg(test)]` is left out.
//!
//! Tokens rather than a syntax tree, because they show the paths inside macro calls too.

use std::iter::Peekable;
use std::path::Path;

use proc_macro2::{Delimiter, Group, Spacing, TokenStream, TokenTree, token_stream};

/// One file of the library.
pub struct Source {
    /// Relative to the package, with slashes.
    pub path: String,
    /// Its module path below the crate: `["solve", "greedy"]` for `src/solve/greedy.rs`.
    pub module: Vec<String>,
    pub names: Vec<Name>,
    /// Modules that exist only in tests.
    pub test_modules: Vec<Vec<String>>,
    /// Lines that are not under `#[cfg(test)]`.
    pub lines: usize,
}

/// A path as written in the code, from the crate's root or from an external crate; a macro ends in `!`, a glob in `*`.
pub struct Name {
    pub segments: Vec<String>,
    pub line: usize,
}

impl Source {
    /// # Errors
    /// The text is not Rust.
    pub fn parse(path: &str, text: &str) -> Result<Self, String> {
        let tokens: TokenStream = text.parse().map_err(|error| format!("failed to read {path} as Rust: {error}"))?;
        let module = module_of(path);
        let mut scan = Scan { names: Vec::new(), test_modules: Vec::new(), test_lines: 0 };
        scan.walk(tokens, &module, &[]);
        Ok(Self {
            path: path.to_owned(),
            lines: text.lines().count() - scan.test_lines,
            module,
            names: scan.names,
            test_modules: scan.test_modules,
        })
    }

    /// The names that match `wanted`, as `file:line: name`.
    pub fn find(&self, wanted: impl Fn(&[&str]) -> bool) -> Vec<String> {
        self.names
            .iter()
            .filter(|name| wanted(&name.segments.iter().map(String::as_str).collect::<Vec<_>>()))
            .map(|name| format!("{}:{}: {}", self.path, name.line, name.segments.join("::")))
            .collect()
    }
}

/// `src/a/b.rs` is `a::b`, `src/lib.rs` the crate itself.
fn module_of(path: &str) -> Vec<String> {
    let inside = Path::new(path).strip_prefix("src").unwrap_or(Path::new(path)).with_extension("");
    let parts: Vec<String> = inside.iter().map(|part| part.to_string_lossy().into_owned()).collect();
    if parts == ["lib"] { Vec::new() } else { parts }
}

struct Scan {
    names: Vec<Name>,
    test_modules: Vec<Vec<String>>,
    test_lines: usize,
}

type Tokens = Peekable<token_stream::IntoIter>;

impl Scan {
    /// `prefix` is what stands before the braces of a `use` tree; empty elsewhere.
    fn walk(&mut self, stream: TokenStream, module: &[String], prefix: &[String]) {
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            match token {
                TokenTree::Punct(punct) if punct.as_char() == '#' => {
                    if next_is_cfg_test(&mut tokens) {
                        self.skip_item(&mut tokens, module, punct.span().start().line);
                    }
                }
                TokenTree::Ident(ident) if ident == "mod" => self.inline_module(&mut tokens, module),
                // The new name of a `use` tree's entry, or a type that one segment names: neither is a path.
                TokenTree::Ident(ident) if ident == "as" && !prefix.is_empty() => drop(tokens.next()),
                TokenTree::Ident(ident) => {
                    let line = ident.span().start().line;
                    self.path(ident.to_string(), line, &mut tokens, module, prefix);
                }
                TokenTree::Punct(punct) if punct.as_char() == '*' && !prefix.is_empty() => {
                    self.record([prefix, &["*".to_owned()]].concat(), punct.span().start().line, module);
                }
                TokenTree::Group(group) => self.walk(group.stream(), module, prefix),
                TokenTree::Punct(_) | TokenTree::Literal(_) => {}
            }
        }
    }

    /// Reads the rest of a path that starts with `first`.
    fn path(&mut self, first: String, line: usize, tokens: &mut Tokens, module: &[String], prefix: &[String]) {
        let mut segments = prefix.to_vec();
        segments.push(first);
        while next_is_double_colon(tokens) {
            match tokens.peek() {
                Some(TokenTree::Ident(ident)) => segments.push(ident.to_string()),
                Some(TokenTree::Punct(punct)) if punct.as_char() == '*' => segments.push("*".to_owned()),
                Some(TokenTree::Group(group)) if group.delimiter() == Delimiter::Brace => {
                    let tree: Group = group.clone();
                    tokens.next();
                    return self.walk(tree.stream(), module, &segments);
                }
                _ => break, // `::<` of a turbofish
            }
            tokens.next();
        }
        match tokens.peek() {
            Some(TokenTree::Punct(punct)) if punct.as_char() == '!' && punct.spacing() == Spacing::Alone => {
                segments.last_mut().expect("a path has a segment").push('!');
            }
            // `use std as s` hides everything that follows: it counts as a glob.
            Some(TokenTree::Ident(ident)) if *ident == "as" && segments.len() == 1 && is_root(&segments[0]) => {
                segments.push("*".to_owned());
            }
            _ => {}
        }
        self.record(segments, line, module);
    }

    fn record(&mut self, segments: Vec<String>, line: usize, module: &[String]) {
        self.names.push(Name { segments: resolve(segments, module), line });
    }

    fn inline_module(&mut self, tokens: &mut Tokens, module: &[String]) {
        let Some(TokenTree::Ident(name)) = tokens.next_if(|token| matches!(token, TokenTree::Ident(_))) else { return };
        if let Some(TokenTree::Group(body)) = tokens.next_if(|token| matches!(token, TokenTree::Group(_))) {
            self.walk(body.stream(), &[module, &[name.to_string()]].concat(), &[]);
        }
    }

    /// Skips the item behind `#[cfg(test)]`: up to its semicolon or the end of its braces.
    fn skip_item(&mut self, tokens: &mut Tokens, module: &[String], first_line: usize) {
        let mut name = None;
        let mut last_line = first_line;
        while let Some(token) = tokens.next() {
            last_line = token.span().end().line;
            match token {
                TokenTree::Ident(ident) if ident == "mod" => name = tokens.peek().map(ToString::to_string),
                TokenTree::Punct(punct) if punct.as_char() == ';' => {
                    self.test_modules.extend(name.map(|name| [module, &[name]].concat()));
                    break;
                }
                TokenTree::Group(group) if group.delimiter() == Delimiter::Brace => break,
                _ => {}
            }
        }
        self.test_lines += last_line + 1 - first_line;
    }
}

fn is_root(segment: &str) -> bool {
    matches!(segment, "std" | "crate" | "super" | "self")
}

/// Consumes `[cfg(...)]` that holds only in tests, and leaves any other attribute to be walked.
fn next_is_cfg_test(tokens: &mut Tokens) -> bool {
    tokens
        .next_if(|token| match token {
            TokenTree::Group(group) => {
                let text = group.stream().to_string();
                let words: Vec<&str> = text.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()).collect();
                words.starts_with(&["cfg"]) && words.contains(&"test") && !words.contains(&"not")
            }
            _ => false,
        })
        .is_some()
}

fn next_is_double_colon(tokens: &mut Tokens) -> bool {
    let is_colon = |token: &TokenTree, spacing| match token {
        TokenTree::Punct(punct) => punct.as_char() == ':' && spacing == Some(punct.spacing()),
        _ => false,
    };
    // A single colon is never joint with another token that starts a path.
    tokens.next_if(|token| is_colon(token, Some(Spacing::Joint))).is_some() && tokens.next().is_some()
}

/// Puts `crate` in front of a path that is relative to its module.
fn resolve(mut segments: Vec<String>, module: &[String]) -> Vec<String> {
    let mut base = module.to_vec();
    let mut relative = false;
    while segments.first().is_some_and(|first| first == "self" || first == "super") {
        if segments.remove(0) == "super" {
            base.pop();
        }
        relative = true;
    }
    if !relative {
        return segments;
    }
    let mut resolved = vec!["crate".to_owned()];
    resolved.append(&mut base);
    resolved.append(&mut segments);
    resolved
}
