// SPDX-License-Identifier: Apache-2.0
import Access
import HTTP

/// The page where people sign in and out, in two languages, without scripts.
struct SignInPage {
    enum Language: String {
        case english = "en"
        case russian = "ru"

        /// What the address says, else what the browser prefers.
        init(_ request: HTTPRequest) {
            if let wanted = request[query: "lang"].flatMap(Language.init) {
                self = wanted
                return
            }
            let preferred = (request.headers["Accept-Language"] ?? "").split(separator: ",").first ?? ""
            self = preferred.lowercased().hasPrefix("ru") ? .russian : .english
        }
    }

    private struct Words {
        let title, name, password, signIn, signOut, signedIn, viewer, other, wrong, wait, busy: String
    }

    private static let english = Words(
        title: "Snimok: sign in", name: "Name", password: "Password", signIn: "Sign in", signOut: "Sign out",
        signedIn: "You are signed in:", viewer: "Continue", other: "Русский",
        wrong: "The name or the password is wrong.", wait: "Too many wrong attempts. Try again in a minute.",
        busy: "The archive cannot check passwords at this moment. Try again soon.")
    private static let russian = Words(
        title: "Снимок: вход", name: "Имя", password: "Пароль", signIn: "Войти", signOut: "Выйти",
        signedIn: "Вы вошли:", viewer: "Продолжить", other: "English",
        wrong: "Имя или пароль неверны.", wait: "Слишком много неверных попыток. Попробуйте через минуту.",
        busy: "Сейчас архив не может проверить пароль. Попробуйте чуть позже.")

    let language: Language
    var failure: AccessError?
    var returnTo: String?
    /// nil: nobody is.
    var signedIn: (name: String, organisation: String, antiForgeryToken: String)?

    private var words: Words { language == .russian ? Self.russian : Self.english }

    func response() -> HTTPResponse {
        var headers = HTTPHeaders([
            // No scripts at all, and nobody puts the page into a frame to catch clicks or letters.
            (
                "Content-Security-Policy",
                "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
            ), ("Referrer-Policy", "same-origin"), ("Cache-Control", "no-store"), ("Vary", "Accept-Language, Cookie"),
            ("Cross-Origin-Opener-Policy", "same-origin"), ("Content-Language", language.rawValue),
        ])
        let status: Int
        switch failure {
        case nil: status = 200
        // Not 401: that wants a challenge, and the browser would put up a window of its own.
        case .wrongCredentials?: status = 403
        case .tooManyAttempts(let seconds)?:
            status = 429
            headers.append("Retry-After", "\(seconds)")
        case .busy?, .unavailable?: status = 503
        }
        return HTTPResponse(
            status: status, contentType: "text/html; charset=utf-8", body: Array(document.utf8), headers: headers)
    }

    private var document: String {
        """
        <!DOCTYPE html>
        <html lang="\(language.rawValue)">
        <head>
        <meta charset="utf-8">
        <meta name="viewport" content="width=device-width, initial-scale=1">
        <title>\(words.title)</title>
        <link rel="stylesheet" href="/login.css">
        </head>
        <body>
        <main>
        <h1>\(words.title)</h1>
        \(signedIn.map(signOutForm) ?? signInForm)
        <p class="language"><a href="/login?lang=\(otherLanguage)\(returnTo.map { "&amp;to=\(Self.escaped(address: $0))" } ?? "")">\(words.other)</a></p>
        </main>
        </body>
        </html>

        """
    }

    private var otherLanguage: String { language == .russian ? "en" : "ru" }

    private var signInForm: String {
        let sentence: String? =
            switch failure {
            case nil: nil
            case .wrongCredentials?: words.wrong
            case .tooManyAttempts?: words.wait
            case .busy?, .unavailable?: words.busy
            }
        return """
            \(sentence.map { "<p class=\"failure\" role=\"alert\">\($0)</p>" } ?? "")
            <form method="post" action="/login?lang=\(language.rawValue)">
            <label for="name">\(words.name)</label>
            <input id="name" name="name" autocomplete="username" autocapitalize="none" maxlength="64" required autofocus>
            <label for="password">\(words.password)</label>
            <input id="password" name="password" type="password" autocomplete="current-password" required>
            <input type="hidden" name="to" value="\(Self.escaped(returnTo ?? ""))">
            <button type="submit">\(words.signIn)</button>
            </form>
            """
    }

    private func signOutForm(_ session: (name: String, organisation: String, antiForgeryToken: String)) -> String {
        """
        <p>\(words.signedIn) <strong>\(Self.escaped(session.name))</strong>, \(Self.escaped(session.organisation))</p>
        <p><a href="\(Self.escaped(returnTo ?? "/"))">\(words.viewer)</a></p>
        <form method="post" action="/logout">
        <input type="hidden" name="csrf" value="\(Self.escaped(session.antiForgeryToken))">
        <button type="submit">\(words.signOut)</button>
        </form>
        """
    }

    /// Text within elements and attributes in quotes.
    static func escaped(_ text: String) -> String {
        var result = ""
        for character in text.unicodeScalars {
            switch character {
            case "&": result += "&amp;"
            case "<": result += "&lt;"
            case ">": result += "&gt;"
            case "\"": result += "&quot;"
            case "'": result += "&#39;"
            default: result.unicodeScalars.append(character)
            }
        }
        return result
    }

    /// A path as the value of a query's parameter: only these letters of it mean something there.
    private static func escaped(address: String) -> String {
        escaped(
            address.replacing("%", with: "%25").replacing("&", with: "%26").replacing("#", with: "%23")
                .replacing("+", with: "%2B"))
    }

    static let style = """
        body { margin: 0; background: #10151c; color: #e8edf3; font: 16px/1.5 system-ui, sans-serif; }
        main { max-width: 20rem; margin: 12vh auto 0; padding: 0 1rem; }
        h1 { font-size: 1.4rem; font-weight: 600; }
        label { display: block; margin-top: 1rem; }
        input { box-sizing: border-box; width: 100%; padding: .6rem; border: 1px solid #5b6b7d; border-radius: 4px;
          background: #1a222c; color: inherit; font: inherit; }
        button { margin-top: 1.5rem; width: 100%; padding: .7rem; border: 0; border-radius: 4px; background: #2f7de1;
          color: #fff; font: inherit; cursor: pointer; }
        input:focus, button:focus, a:focus { outline: 3px solid #8cc0ff; outline-offset: 1px; }
        a { color: #8cc0ff; }
        .failure { padding: .6rem; border-left: 4px solid #ff8a80; background: #2c1b1d; }
        .language { margin-top: 2rem; font-size: .9rem; }

        """
}
