export function routePolicy(
  extensions: Readonly<Record<string, string>>,
  audiences: readonly string[] | null,
): { readonly rolesAny: readonly string[]; readonly rolesAll: readonly string[] };
