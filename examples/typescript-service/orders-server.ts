import { type Metadata, Server, status } from '@grpc/grpc-js';
import { authInterceptor, callerOf, type VerifiedClaims, type Verifier } from 'postern/client';

import { OrderServiceService, type Order, type OrderServiceServer } from './generated/orders.ts';

const { getOpeningHours, cancelOrder } = OrderServiceService;

/** The service behind an interceptor that asks the verifier, in this process, about every caller. */
export function createOrdersServer(verifier: Verifier): Server {
  const server = new Server({
    interceptors: [
      authInterceptor({
        verifier,
        // A method that is not named needs a good token; nothing is open by oversight.
        methods: { [getOpeningHours.path]: 'public', [cancelOrder.path]: { roles: ['admin'] } },
      }),
    ],
  });
  server.addService(OrderServiceService, orderService());
  return server;
}

function orderService(): OrderServiceServer {
  const orders = new Map<string, Order>();
  return {
    getOpeningHours(_call, answer) {
      answer(null, { text: 'always' });
    },

    listOrders(call, answer) {
      const { subject } = signedIn(call);
      // Everybody has one, so that there is something to see.
      if (!orders.has(subject)) orders.set(subject, { id: subject, owner: subject, cancelledBy: '' });
      answer(null, { orders: [...orders.values()].filter(({ owner }) => owner === subject) });
    },

    cancelOrder(call, answer) {
      const order = orders.get(call.request.id);
      if (!order) {
        answer({ code: status.NOT_FOUND, details: 'no order has this id' });
        return;
      }
      order.cancelledBy = signedIn(call).subject;
      answer(null, order);
    },
  };
}

/** The caller of a method that the interceptor protects. */
function signedIn(call: { readonly metadata: Metadata }): VerifiedClaims {
  const caller = callerOf(call);
  if (!caller) throw new Error('the method is public: name it with its rule in the interceptor');
  return caller;
}
