import com.nimbusds.jose.JOSEObjectType;
import com.nimbusds.jose.JWSAlgorithm;
import com.nimbusds.jose.jwk.source.JWKSource;
import com.nimbusds.jose.jwk.source.JWKSourceBuilder;
import com.nimbusds.jose.proc.DefaultJOSEObjectTypeVerifier;
import com.nimbusds.jose.proc.JWSVerificationKeySelector;
import com.nimbusds.jose.proc.SecurityContext;
import com.nimbusds.jwt.JWTClaimsSet;
import com.nimbusds.jwt.proc.DefaultJWTClaimsVerifier;
import com.nimbusds.jwt.proc.DefaultJWTProcessor;
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.net.URI;
import java.util.Objects;
import java.util.Set;
import org.springframework.security.oauth2.jose.jws.SignatureAlgorithm;
import org.springframework.security.oauth2.jwt.JwtClaimValidator;
import org.springframework.security.oauth2.jwt.JwtDecoder;
import org.springframework.security.oauth2.jwt.JwtValidators;
import org.springframework.security.oauth2.jwt.NimbusJwtDecoder;

/** java Verify spring|nimbus JWKS_URL ISSUER AUDIENCE: answers each token on standard input with one line. */
class Verify {
  static final long CACHE_MS = 1000 * Long.parseLong(System.getenv().getOrDefault("CACHE_SECONDS", "60"));

  interface Verifier {
    String subject(String token) throws Exception;
  }

  static JwtDecoder jwtDecoder(String jwksUrl, String issuer, String audience) {
    NimbusJwtDecoder decoder = NimbusJwtDecoder.withJwkSetUri(jwksUrl)
        .jwsAlgorithm(SignatureAlgorithm.ES256).validateType(false).build();
    decoder.setJwtValidator(JwtValidators.createAtJwtValidator()
        .issuer(issuer).audience(audience)
        .validators((all) -> all.put("client_id", new JwtClaimValidator<>("client_id", Objects::nonNull)))
        .build());
    return decoder;
  }

  static Verifier withSpring(String jwksUrl, String issuer, String audience) {
    JwtDecoder decoder = jwtDecoder(jwksUrl, issuer, audience);
    return (token) -> decoder.decode(token).getSubject();
  }

  static Verifier withNimbus(String jwksUrl, String issuer, String audience) throws Exception {
    JWKSource<SecurityContext> keys = JWKSourceBuilder.create(URI.create(jwksUrl).toURL())
        .cache(CACHE_MS, 15_000).refreshAheadCache(false).rateLimited(false).build();
    DefaultJWTProcessor<SecurityContext> processor = new DefaultJWTProcessor<>();
    processor.setJWSTypeVerifier(new DefaultJOSEObjectTypeVerifier<>(new JOSEObjectType("at+jwt")));
    processor.setJWSKeySelector(new JWSVerificationKeySelector<>(JWSAlgorithm.ES256, keys));
    processor.setJWTClaimsSetVerifier(new DefaultJWTClaimsVerifier<>(
        audience, new JWTClaimsSet.Builder().issuer(issuer).build(), Set.of("sub", "exp", "iat", "jti")));
    return (token) -> processor.process(token, null).getSubject();
  }

  public static void main(String[] words) throws Exception {
    Verifier verifier = words[0].equals("spring")
        ? withSpring(words[1], words[2], words[3]) : withNimbus(words[1], words[2], words[3]);
    BufferedReader lines = new BufferedReader(new InputStreamReader(System.in));
    for (String line = lines.readLine(); line != null; line = lines.readLine()) {
      try {
        System.out.println("accepted " + verifier.subject(line));
      } catch (Exception error) {
        System.out.println("refused " + error.getClass().getSimpleName() + " " + error.getMessage());
      }
    }
  }
}
